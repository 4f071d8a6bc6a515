#!/bin/sh
# `show rsop --all` on domains of 2,000 computers: says of each what `show rsop --computer` says, in
# time and memory that leave room for fifty times as many.
. "${srcdir:?}/tests/lib/check.sh"
T=$(mktemp -d /tmp/ipsecpol-all.XXXXXX) || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
tool=$builddir/ipsecpol
printf '[directory]\nuri = ldif:/none\ncomputer = %s\n' 'NOBODY$' >"$T/conf"
all() { "$tool" --config "$T/conf" show rsop --all --directory "ldif:$1" ; }
same_rsop() { python3 "$srcdir/tests/lib/same_rsop.py" "$tool" "$T/conf" "$@"; }

check "the example domain, every computer" same_rsop "ldif:$srcdir/examples/corp.ldif" 0
check "... in a site" same_rsop "ldif:$srcdir/examples/corp.ldif" 0 --site Branch
for kind in "" --odd --ad "--ad --odd"; do
	f=$T/domain$(echo $kind | tr -d ' -').ldif
	python3 "$srcdir/tests/lib/big_domain.py" 2000 200 100 $kind >"$f"
	check "2,000 computers ${kind:-sound}: a sample" same_rsop "ldif:$f" 120
	cat "$T/check.out"
done
check "in a site" same_rsop "ldif:$T/domainodd.ldif" 40 --site Branch

# ---- this host among them has more to tell: its configuration names a site
sed -i 's/^computer = .*/computer = WEB1$\nsite = Branch/' "$T/conf"
check "this host is one of them" same_rsop "ldif:$srcdir/examples/corp.ldif" 0
"$tool" --config "$T/conf" show rsop --all --json --directory "ldif:$srcdir/examples/corp.ldif" >"$T/own.json"
same "... and alone in its site" "WEB1\$ Branch" "$(python3 -c '
import json, sys
print(*[v for c in json.load(open(sys.argv[1]))["computers"] if c["site"] for v in (c["computer"], c["site"])])' "$T/own.json")"
sed -i 's/^computer = .*/computer = NOBODY$/; /^site/d' "$T/conf"

# ---- what it costs
python3 - "$tool" "$T/conf" "$T/domain.ldif" <<'EOF' >"$T/cost"
import resource, subprocess, sys, time
start = time.monotonic()
subprocess.run([sys.argv[1], '--config', sys.argv[2], 'show', 'rsop', '--all', '--directory', 'ldif:' + sys.argv[3]], check=True, stdout=subprocess.DEVNULL)
print(int((time.monotonic() - start) * 1000), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
EOF
read -r ms mb <"$T/cost"
[ "$ms" -lt 2000 ] && ok "2,000 computers in $ms ms" || bad "2,000 computers in $ms ms"
[ "$mb" -lt 100 ] && ok "... and $mb MB" || bad "... and $mb MB"

# ---- text, order, mistakes
all "$T/domain.ldif" >"$T/text"
has "the summary counts" "Computers  2000: " "$(head -1 "$T/text")"
all "$T/domain.ldif" >"$T/again"
check "twice the same" cmp "$T/text" "$T/again"
"$tool" --config "$T/conf" show rsop --all --json --directory "ldif:$T/domain.ldif" >"$T/json"
same "one line a computer" 2000 "$(grep -c '^{"computer":' "$T/json")"
# wrong STATUS PATTERN ARGUMENT...
wrong() {
	want=$1 text=$2; shift 2
	said=$("$tool" --config "$T/conf" "$@" 2>&1 >"$T/stdout"); rc=$?
	same "'$*': exit status" "$want" "$rc"
	has "... and why" "$text" "$said"
	same "... and nothing else" "" "$(cat "$T/stdout")"
}
wrong 64 "--all is for 'show rsop --directory URI'" show rsop --all
wrong 64 "--all is for" show policy --all --directory "ldif:$T/domain.ldif"
wrong 64 "--all is for" show rsop --all --directory "ldif:$T/domain.ldif" --computer HOST1
wrong 1 "No such file" show rsop --all --directory "ldif:$T/none"
printf 'dn:\nobjectClass: top\ndefaultNamingContext: DC=gone\n' >"$T/gone.ldif"
wrong 1 "'DC=gone' does not exist" show rsop --all --directory "ldif:$T/gone.ldif"
finish
