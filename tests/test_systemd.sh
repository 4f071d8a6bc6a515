#!/bin/sh
# The unit under a real systemd: hardening that lets it work, ready before the network, and
# what a stop by hand, a restart, a crash and a shutdown do to the rules.  A container on an
# overlay of this system, with a network namespace of its own; nothing outside it is changed.
set -u
: "${builddir:?}" "${srcdir:?}"
command -v systemd-nspawn >/dev/null || { echo "SKIP: systemd-nspawn is not installed"; echo "0 passed, 0 failed"; exit 0; }
t=$(mktemp -d /tmp/ipsecpol-systemd.XXXXXX) && chmod 711 "$t" || exit 1
finish() {
	[ -z "${nspawn:-}" ] || kill -9 $nspawn 2>/dev/null
	umount -l "$t/root" 2>/dev/null
	umount -l "$t/tmpfs" 2>/dev/null
	rm -rf "$t"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
mkdir "$t/tmpfs" && mount -t tmpfs none "$t/tmpfs" && mkdir "$t/tmpfs/up" "$t/tmpfs/work" "$t/root" &&
mount -t overlay overlay -o lowerdir=/,upperdir="$t/tmpfs/up",workdir="$t/tmpfs/work" "$t/root" || {
	echo "SKIP: no overlay file system on this machine"; echo "0 passed, 0 failed"; exit 0; }
r=$t/root
# A build of its own: the unit and the programs hold the paths they are installed to.
mkdir "$t/build" && (cd "$t/build" && "$srcdir/configure" -q --prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run \
	--with-systemdsystemunitdir=/usr/lib/systemd/system --with-sysusersdir=/usr/lib/sysusers.d CFLAGS=-O1 &&
	make -s -j"$(nproc)" && make -s install DESTDIR="$r") >"$t/build.log" 2>&1 || { tail -5 "$t/build.log"; echo "0 passed, 1 failed"; exit 1; }
install -m 644 "$srcdir/examples/corp.ldif" "$r/etc/ipsecpol/corp.ldif"
printf '[directory]\nuri = ldif:/etc/ipsecpol/corp.ldif\ncomputer = WEB1\n[enforcement]\ndns-servers = 10.77.0.1\n' >"$r/etc/ipsecpol/ipsecpol.conf"
cat >"$r/usr/local/sbin/ipsecpol-checks" <<'EOF'
#!/bin/sh
exec >/var/log/checks 2>&1
ok() { if eval "$2" >/tmp/out 2>&1; then echo "ok   $1"; else echo "FAIL $1"; tail -5 /tmp/out | sed 's/^/     | /'; fi; }
table="nft list table inet ipsecpol"
until_secure() { for i in $(seq 50); do ipsecpol status 2>/dev/null | grep -q '^Mode: *secure' && return; sleep 0.1; done; ipsecpol status; systemctl status ipsecpold; return 1; }
ok "the service started at boot" "systemctl is-active ipsecpold"
ok "the worker's user was made" "getent passwd ipsecpol"
ok "first refresh, through the hardened unit" until_secure
ok "rules are in the kernel" "$table"
ok "before network-pre.target" "systemctl show -p Before ipsecpold | grep -w network-pre.target"
ok "restart keeps the rules (they never go)" "nft monitor >/tmp/monitor & m=\$!; sleep 0.3; systemctl restart ipsecpold; until_secure; kill \$m; ! grep 'delete table' /tmp/monitor && $table"
pid=$(systemctl show -p MainPID --value ipsecpold)
ok "a crash keeps the rules" "kill -9 $pid; $table"
ok "and the service comes back" "sleep 3; until_secure"
ok "reload" "systemctl reload ipsecpold && until_secure"
ok "stop by hand: permit mode" "systemctl stop ipsecpold; ! $table"
ok "and start" "systemctl start ipsecpold && until_secure && $table"
ok "the startup mode unit ran before it" "systemctl is-active ipsecpold-boot && systemctl show -p Before ipsecpold-boot | grep -w ipsecpold.service | grep -w network-pre.target"
ok "startup type automatic" "ipsecpol status | grep 'service automatic'"
ok "stateful at the next boot, since a policy is assigned" "ipsecpol status | grep 'Startup: *stateful'"
ok "startup mode block, in the hardened unit" "ipsecpol dynamic set config property=bootmode value=block && systemctl stop ipsecpold && systemctl restart ipsecpold-boot && $table | grep 'boot mode: block'"
ok "the service replaces it by the policy" "systemctl start ipsecpold && until_secure && ! $table | grep 'boot mode'"
ok "startup type manual" "systemctl disable ipsecpold && ipsecpol status | grep 'service manual' && ! systemctl is-enabled ipsecpold-boot"
ok "and automatic again, with its startup mode" "systemctl enable ipsecpold && systemctl is-enabled ipsecpold-boot"
ok "exposure is low" "systemd-analyze security --no-pager ipsecpold | tail -1 | grep -E 'OK|MEDIUM'"
echo "journal:"; journalctl -b -u ipsecpold -o cat --no-pager | tail -20 | sed 's/^/     | /'
ok "events have fields" "journalctl -b IPSECPOL_EVENT=policy-applied -o json --no-pager | grep -q IPSECPOL_GPO"
ok "no denial in the journal" "! journalctl -b -u ipsecpold --no-pager | grep -iE 'denied|permission|not permitted'"
echo done >>/var/log/checks
systemctl poweroff
EOF
chmod 755 "$r/usr/local/sbin/ipsecpol-checks"
cat >"$r/etc/systemd/system/ipsecpol-checks.service" <<'EOF'
[Unit]
After=basic.target ipsecpold.service
[Service]
ExecStart=/usr/local/sbin/ipsecpol-checks
[Install]
WantedBy=basic.target
EOF
ln -sf /dev/null "$r/etc/systemd/system/slapd.service"
mkdir -p "$r/etc/systemd/system/basic.target.wants" "$r/etc/systemd/system/sysinit.target.wants"
ln -sf ../ipsecpol-checks.service "$r/etc/systemd/system/basic.target.wants/"
systemctl --root="$r" -q enable ipsecpold
timeout -k 5 120 systemd-nspawn -q -D "$r" -b --private-network --register=no --keep-unit -M ipsecpol-$$ systemd.unit=basic.target \
	</dev/null >"$t/console" 2>&1 &
nspawn=$!
wait $nspawn; nspawn=
if ! grep -q . "$t/tmpfs/up/var/log/checks" 2>/dev/null; then
	tail -5 "$t/console"
	echo "SKIP: systemd does not boot in a container here"; echo "0 passed, 0 failed"; exit 0
fi
cat "$t/tmpfs/up/var/log/checks"
grep -q '^done' "$t/tmpfs/up/var/log/checks" || echo "FAIL the checks did not end"
p=$(grep -c '^ok ' "$t/tmpfs/up/var/log/checks") f=$(grep -c '^FAIL' "$t/tmpfs/up/var/log/checks")
grep -q '^done' "$t/tmpfs/up/var/log/checks" || f=$((f + 1))
echo "$p passed, $f failed"
[ "$f" = 0 ]
