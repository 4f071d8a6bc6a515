#!/bin/sh
# clang.sh SRC DIR: builds without a warning under clang too.
set -eu
. "$1/tests/lib/build.sh"
src=$1
TARGETS=all build "$2" CC=clang CFLAGS='-O1 -g -Werror'
