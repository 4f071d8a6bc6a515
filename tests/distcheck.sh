#!/bin/sh
# distcheck.sh SRC DIR: the tarball builds, installs and uninstalls by itself.
set -eu
. "$1/tests/lib/build.sh"
src=$1
TARGETS=all build "$2"
make -C "$2" -s distcheck
