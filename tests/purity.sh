#!/bin/sh
# purity.sh BUILDDIR: the pure libraries may not reach the outside world, and the daemon
# may not link what parses the network's bytes.
set -u
cd "${1:-.}" || exit 1
bad='^(open|openat|fopen|freopen|popen|socket|connect|send(to|msg)?|recv(from|msg)?|read|write|fork|v?fork|exec.*|system|time|clock_gettime|gettimeofday|getenv|secure_getenv|s?rand|s?random|getrandom|v?syslog|v?printf|puts|putchar|perror|exit|_exit|abort|ldap_.*|ber_.*|sasl_.*|mnl_socket_.*|sd_(bus|event|notify|journal|id128).*|sqlite3_.*)$'
p=0 f=0
for lib in libschema.a libgpo.a libnft.a; do
	[ -e $lib ] || { echo "FAIL $lib is missing"; f=$((f + 1)); continue; }
	found=$(nm -u $lib | awk '/ U /{print $2}' | sed 's/@.*//' | grep -E "$bad" | sort -u)
	if [ -z "$found" ]; then echo "ok   $lib reaches nothing outside"; p=$((p + 1))
	else echo "FAIL $lib uses:" $found; f=$((f + 1)); fi
done
libs=$(ldd ipsecpold | grep -E 'ldap|lber|sasl|krb5|gssapi|resolv')
if [ -z "$libs" ]; then echo "ok   ipsecpold links no LDAP, SASL or Kerberos"; p=$((p + 1))
else echo "FAIL ipsecpold links:" $libs; f=$((f + 1)); fi
if nm -C ipsecpold | grep -qE ' T (ipsecdata_.*_parse|ldif_read|policy_assemble)'; then
	echo "FAIL ipsecpold holds a parser of directory blobs:" $(nm ipsecpold | awk '/ T (ipsecdata_.*_parse|ldif_read|policy_assemble)/{print $3}'); f=$((f + 1))
else echo "ok   ipsecpold holds no parser of directory blobs"; p=$((p + 1)); fi
echo "$p passed, $f failed"
[ $f = 0 ]
