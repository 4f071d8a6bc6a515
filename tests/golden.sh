#!/bin/sh
# golden.sh [--update]: each case directory in tests/cases holds ARGS (options of `ipsecpol show`,
# one line; FILE is the case's directory.ldif, or examples/corp.ldif) and what each stage must
# print: snapshot rsop rsop.json policy policy.json ruleset ruleset.json.  Where a stage must
# fail, the file holds "error: MESSAGE".  `make golden-update` writes them: read the difference.
: "${builddir:?}" "${srcdir:?}"
passed=0 failed=0 update=${1:-}
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
printf '[enforcement]\ndns-servers = 10.77.0.1\n' >"$t/conf"
printf 'dc 10.77.0.1\ndns 10.77.0.1\ngateway 10.77.0.254\n' >"$t/facts"
for dir in "$srcdir"/tests/cases/*/; do
	dir=${dir%/} name=$(basename "$dir")
	[ -e "$dir/ARGS" ] || continue
	file=$dir/directory.ldif
	[ -e "$file" ] || file=$srcdir/examples/corp.ldif
	cp "$file" "$t/directory.ldif"
	for stage in snapshot rsop rsop.json policy policy.json ruleset ruleset.json; do
		json=; [ "$stage" = "${stage%.json}" ] || json=--json
		# Run where the file is, so that no path of this machine is printed.
		(cd "$t" && eval "\"$builddir/ipsecpol\" --config \"$t/conf\" show ${stage%.json} $json --facts \"$t/facts\" --directory ldif:directory.ldif $(cat "$dir/ARGS")") \
			>"$t/out" 2>"$t/err" || sed 's/^ipsecpol: /error: /' "$t/err" >"$t/out"
		if [ -n "$update" ]; then
			cmp -s "$t/out" "$dir/$stage" || { cp "$t/out" "$dir/$stage"; echo "updated $name/$stage"; }
		elif cmp -s "$t/out" "$dir/$stage"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1)); echo "FAIL $name/$stage"
			diff -u "$dir/$stage" "$t/out" | head -20
		fi
	done
done
[ -n "$update" ] || { echo "$passed passed, $failed failed"; [ $failed = 0 ] && [ $passed -gt 0 ]; }
