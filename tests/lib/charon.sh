# Sourced by tests that need strongSwan's charon: each has a directory of its own, with its configuration,
# socket (DIR/charon.vici), log (DIR/charon.log) and pid.  The caller is in, or names, a network namespace.
#   charon_start DIR [NETNS]    and waits until it answers
#   charon_stop DIR             in good order
#   charon_kill DIR             as a crash: the socket stays behind
#   charon_swanctl DIR ARGUMENT...
# $charon_options: more lines for its configuration; those of swanctl are in DIR/swanctl.
charon_options=
: "${builddir:?}"

charon_there() { [ -x /usr/sbin/charon-systemd ] && command -v swanctl >/dev/null; }

charon_conf() {
	mkdir -p "$1/swanctl"
	cat >"$1/strongswan.conf" <<EOF
charon-systemd {
  load = random nonce openssl kdf x509 pem pkcs1 pkcs8 pubkey revocation constraints kernel-netlink socket-default vici
  plugins {
    vici { socket = unix://$1/charon.vici }
  }
  journal { default = -1 }
  filelog {
    log {
      path = $1/charon.log
      default = 1
      append = yes
      flush_line = yes
    }
  }
  $charon_options
}
swanctl {
  load = random openssl pem pkcs1 x509
}
EOF
}

# charon_wait DIR: until it answers
charon_wait() {
	charon_i=0
	while [ $charon_i -lt 200 ]; do
		[ -S "$1/charon.vici" ] && "$builddir/tests/vicitool" "$1/charon.vici" version >/dev/null 2>&1 && return 0
		kill -0 "$(cat "$1/charon.pid")" 2>/dev/null || break
		sleep 0.05; charon_i=$((charon_i + 1))
	done
	echo "charon did not start"; cat "$1/charon.out" "$1/charon.log"; return 1
}

charon_start() {
	[ -e "$1/strongswan.conf" ] || charon_conf "$1"
	STRONGSWAN_CONF=$1/strongswan.conf ${2:+ip netns exec "$2"} /usr/sbin/charon-systemd >"$1/charon.out" 2>&1 </dev/null &
	echo $! >"$1/charon.pid"
	charon_wait "$1"
}

charon_end() {
	[ -s "$1/charon.pid" ] || return 0
	kill -"$2" "$(cat "$1/charon.pid")" 2>/dev/null
	wait "$(cat "$1/charon.pid")" 2>/dev/null
	rm -f "$1/charon.pid"
}
charon_stop() { charon_end "$1" TERM; }
charon_kill() { charon_end "$1" KILL; }

charon_swanctl() {
	charon_dir=$1; shift; charon_command=$1; shift
	STRONGSWAN_CONF=$charon_dir/strongswan.conf SWANCTL_DIR=$charon_dir/swanctl swanctl "$charon_command" --uri "unix://$charon_dir/charon.vici" "$@"
}
