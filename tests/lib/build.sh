# Sourced by tests/run and examples/demo: install what is missing, build.
# $src is the source tree.

# need FILE...: install the Debian packages that the files list (one a line, '#' comments).
# Nothing is downloaded when all of them are there.
need() {
	missing=
	for p in $(sed 's/#.*//' "$@"); do
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || { echo "as root, please: these packages are missing:$missing" >&2; return 1; }
	echo "installing:$missing"
	# The daemons among them are wanted as programs, not as running services.
	rcd=/usr/sbin/policy-rc.d
	if [ -e $rcd ]; then rcd=; else printf '#!/bin/sh\nexit 101\n' >$rcd && chmod +x $rcd; fi
	rc=0
	{ DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing ||
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; }
	} >"$src/build/apt.log" 2>&1 </dev/null || rc=1
	[ -z "$rcd" ] || rm -f "$rcd"
	[ $rc = 0 ] || { tail -5 "$src/build/apt.log" >&2; echo "the packages could not be installed, see $src/build/apt.log" >&2; }
	return $rc
}

# build DIR [configure arguments]: everything, tests too, in DIR; quiet unless it fails.
build() {
	dir=$1; shift
	mkdir -p "$dir"
	{ [ -x "$src/configure" ] && [ "$src/configure" -nt "$src/configure.ac" ] || (cd "$src" && autoreconf -fi)
	} >"$dir/build.log" 2>&1 &&
	{ [ -e "$dir/Makefile" ] || (cd "$dir" && "$src/configure" -q "$@"); } >>"$dir/build.log" 2>&1 &&
	make -C "$dir" -j"$(nproc)" ${TARGETS:-all} >>"$dir/build.log" 2>&1 || {
		tail -30 "$dir/build.log" >&2
		echo "the build failed, see $dir/build.log" >&2
		return 1
	}
}
