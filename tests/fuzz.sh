#!/bin/sh
# fuzz.sh SRC DIR NAME SECONDS: build tests/NAME.c with libFuzzer and run it for a while,
# from the corpus in tests/corpus/NAME if there is one.
set -eu
src=$1 dir=$2 name=$3 seconds=$4
mkdir -p "$dir/$name.corpus"
cd "$src"
pure=$(sed -n '/^lib\(schema\|gpo\|nft\)_a_SOURCES/,/[^\\]$/p' Makefile.am | tr ' \\\t' '\n\n\n' | grep '\.c$')
case $name in
fuzz_filter) extra="agent/dir_filter.c" ;;
fuzz_image) extra="store/image.c" ;;
fuzz_worker) extra="agent/worker.c" ;;
fuzz_conf) extra="agent/conf.c agent/conf_keys.c" ;;
fuzz_hostfacts) extra="agent/hostfacts.c" ;;
*) extra= ;;
esac
flags=$(pkg-config --cflags --libs jansson nettle libmnl libnftnl libsystemd sqlite3 ini_config)
clang -std=gnu11 -g -O1 -I. -D_GNU_SOURCE -DPACKAGE_VERSION='"fuzz"' \
	-DSYSCONFDIR='"/etc"' -DLOCALSTATEDIR='"/var"' -DRUNSTATEDIR='"/run"' -DPKGLIBEXECDIR='"/usr/libexec"' \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	-o "$dir/$name" "tests/$name.c" $pure $extra $flags
corpus="$dir/$name.corpus"
[ ! -d "tests/corpus/$name" ] || corpus="$corpus tests/corpus/$name"
"$dir/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 $corpus
