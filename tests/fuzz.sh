#!/bin/sh
# fuzz.sh SRC DIR NAME SECONDS: build tests/NAME.c with libFuzzer and run it for a while,
# from the corpus in tests/corpus/NAME if there is one.
set -eu
src=$1 dir=$2 name=$3 seconds=$4
mkdir -p "$dir/$name.corpus" "$dir/o"
cd "$src"
flags="-std=gnu11 -g -O1 -I. -D_GNU_SOURCE -fsanitize=address,undefined -fno-sanitize-recover=undefined
	$(pkg-config --cflags jansson nettle libmnl libnftnl libsystemd sqlite3 ini_config)"
dirs='-DSYSCONFDIR=\"/etc\" -DLOCALSTATEDIR=\"/var\" -DRUNSTATEDIR=\"/run\" -DPKGLIBEXECDIR=\"/usr/libexec\" -DPACKAGE_VERSION=\"fuzz\"'
# The libraries, instrumented once for all fuzzers.
if [ -z "$(find "$dir/all.a" -newer Makefile.am 2>/dev/null)" ] || [ -n "$(find schema gpo nft store agent -name '*.[ch]' -newer "$dir/all.a")" ]; then
	rm -f "$dir/all.a" "$dir"/o/*
	{ sed -n '/^lib\(schema\|gpo\|nft\|store\|agent\)_a_SOURCES/,/[^\\]$/p' Makefile.am | tr ' \\\t' '\n\n\n' | grep '\.c$'
	  echo agent/worker_result.c; echo agent/dir_filter.c; } | sort -u >"$dir/sources"
	printf '%s\n' "$flags -fsanitize=fuzzer-no-link $dirs" >"$dir/flags"
	xargs -P "$(nproc)" -I {} sh -c 'clang -c @"$1/flags" -o "$1/o/$(echo "$2" | tr / _).o" "$2"' sh "$dir" {} <"$dir/sources"
	ar crs "$dir/all.a" "$dir"/o/*.o
fi
clang @"$dir/flags" -fsanitize=fuzzer -o "$dir/$name" "tests/$name.c" "$dir/all.a" \
	$(pkg-config --libs jansson nettle libmnl libnftnl libsystemd sqlite3 ini_config)
corpus="$dir/$name.corpus"
[ ! -d "tests/corpus/$name" ] || corpus="$corpus tests/corpus/$name"
"$dir/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 $corpus
