# Sourced by the guest: its hosts, their daemons, traffic, and what the capture has to show.
#
# Hosts are network namespaces on one bridge, whose traffic is captured from the first to the last
# packet: A and B (10.9.0.1, .2), C, which is plain (.3), and two gateways, G (.4, with 10.10.0.0/24 behind it)
# and H (.5, 10.20.0.0/24).  IPv6: fd09::1...
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TZ=UTC
A=10.9.0.1 B=10.9.0.2 C=10.9.0.3 G=10.9.0.4 H=10.9.0.5 NG=10.10.0.2 NH=10.20.0.2
A6=fd09::1 B6=fd09::2 C6=fd09::3
windows=/run/windows

# ---- results ----
passed=0 failed=0 scenario=
ok() { passed=$((passed + 1)); echo "ok   $scenario: $*"; }
fail() { failed=$((failed + 1)); echo "FAIL $scenario: $*"; }
note() { echo "note $scenario: $*"; }
# check NAME COMMAND...; check_not: it must fail
check() { what=$1; shift; if "$@" >/run/looked 2>&1; then ok "$what"; else fail "$what"; sed 's/^/     | /' /run/looked | tail -15; fi; }
check_not() { what=$1; shift; if "$@" >/run/looked 2>&1; then fail "$what"; sed 's/^/     | /' /run/looked | tail -15; else ok "$what"; fi; }
now() { date +%s.%N; }
seconds() { cut -d' ' -f1 /proc/uptime; }
# within SECONDS COMMAND...: it succeeds before that
within() {
	within_end=$(($(date +%s) + $1)); shift
	until "$@" >/run/within 2>&1; do
		[ "$(date +%s)" -lt $within_end ] || { cat /run/within; return 1; }
		sleep 0.2
	done
}
in_ns() { in_ns_name=$1; shift; nsenter --net="/run/netns/$in_ns_name" "$@"; }

# ---- hosts ----
# host NAME NUMBER: on the bridge
host() {
	ip netns add "$1" && ip link add "v$1" type veth peer name eth0 netns "$1" && ip link set "v$1" master br0 up
	in_ns "$1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra
		echo 0 >/proc/sys/net/ipv6/conf/eth0/router_solicitations; echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind'
	ip -n "$1" link set lo up && ip -n "$1" link set eth0 up
	ip -n "$1" addr add "10.9.0.$2/24" dev eth0 && ip -n "$1" addr add "fd09::$2/64" dev eth0 nodad
	mkdir -p -m 755 "/run/$1" "/run/$1/run"; mkdir -p -m 700 "/run/$1/state"
}
# behind GATEWAY NUMBER: the namespace NGATEWAY with 10.NUMBER.0.2/24, routed by it
behind() {
	ip netns add "N$1" && ip -n "$1" link add net type veth peer name eth0 netns "N$1"
	ip -n "$1" addr add "10.$2.0.1/24" dev net && ip -n "$1" link set net up
	ip -n "N$1" link set lo up; ip -n "N$1" addr add "10.$2.0.2/24" dev eth0 && ip -n "N$1" link set eth0 up
	ip -n "N$1" route add default via "10.$2.0.1"
	in_ns "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}
network() {
	ip link set lo up
	# Without snooping: a bridge that asks for groups would speak on the wire.
	ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up
	host A 1; host B 2; host C 3; host G 4; host H 5
	behind G 10; behind H 20
	ip -n G route add 10.20.0.0/24 via $H; ip -n H route add 10.10.0.0/24 via $G
}
larval_drop() { for larval_h in A B G H; do in_ns $larval_h sh -c "echo $1 >/proc/sys/net/core/xfrm_larval_drop"; done; }

# ---- the IKE daemon of a host ----
charon_conf() {
	cat >"/run/$1/strongswan.conf" <<-EOC
	charon-systemd {
	  load = random nonce openssl pem pkcs1 x509 pubkey constraints revocation kdf kernel-netlink socket-default vici
	  plugins {
	    vici {
	      socket = unix:///run/$1/charon.vici
	    }
	  }
	  journal {
	    default = -1
	  }
	  filelog {
	    log {
	      path = /run/$1/charon.log
	      time_format = %T
	      default = 1
	      flush_line = yes
	    }
	  }
	  retransmit_tries = 2
	  retransmit_timeout = 1.0
	}
	swanctl {
	  load = random openssl
	}
	EOC
}
charon_start() {
	[ -e "/run/$1/strongswan.conf" ] || charon_conf "$1"
	# Not in_ns: a function would be the background process, and not the daemon.
	STRONGSWAN_CONF=/run/$1/strongswan.conf nsenter --net="/run/netns/$1" /usr/sbin/charon-systemd >"/run/$1/charon.out" 2>&1 &
	echo $! >"/run/$1/charon.pid"
}
charon_up() { within 30 swan "$1" --stats || { echo "charon of $1"; cat "/run/$1/charon.out"; return 1; }; }
charon_gone() { ! kill -0 "$(cat "/run/$1/charon.pid")" 2>/dev/null; }
charon_stop() { kill "$(cat "/run/$1/charon.pid")"; within 10 charon_gone "$1"; }
charon_kill() { kill -9 "$(cat "/run/$1/charon.pid")"; wait "$(cat "/run/$1/charon.pid")" 2>/dev/null; }
# swan HOST COMMAND...: swanctl
swan() {
	swan_host=$1 swan_command=$2; shift 2
	STRONGSWAN_CONF=/run/$swan_host/strongswan.conf SWANCTL_DIR=/run/$swan_host swanctl "$swan_command" --uri "unix:///run/$swan_host/charon.vici" "$@"
}
# end_sas HOST...: all of ours end, and nobody tells the other side
end_sas() {
	for end_host; do
		for end_id in $(swan "$end_host" --list-sas 2>/dev/null | sed -n 's/^ipsecpol-[^:]*: #\([0-9]*\),.*/\1/p'); do
			swan "$end_host" --terminate --ike-id "$end_id" --force >/dev/null 2>&1
		done
		ip -n "$end_host" xfrm state flush
	done
}
# our_sas HOST: how many in the kernel
our_sas() { ip -n "$1" xfrm state | awk '{ for (i = 1; i < NF; i++) if ($i == "reqid" && $(i + 1) >= 1761607680 && $(i + 1) <= 1778384895) n++ } END { print n + 0 }'; }
our_conns() { swan "$1" --list-conns 2>/dev/null | grep -c '^ipsecpol-'; }
# The policies of a host that are not bound to a socket, one a line; how many are ours: of our priorities, with no
# template or one with a reqid of ours
xfrm_policies() { ip -n "$1" xfrm policy | awk '/^src/ { if (p != "") print p; p = "" } { p = p " " $0 } END { print p }' | grep -v socket; }
our_policies() {
	xfrm_policies "$1" | awk '{ p = r = 0; for (i = 1; i < NF; i++) { if ($i == "priority") p = $(i + 1); if ($i == "reqid") r = $(i + 1) } }
		p >= 65536 && p <= 98303 && (r == 0 || (r >= 1761607680 && r <= 1778384895)) { n++ } END { print n + 0 }'
}
policies_are() { is_n=$(our_policies "$1"); [ "$is_n" = "$2" ] || { echo "$is_n IPsec policies of ours on $1:"; xfrm_policies "$1"; return 1; }; }
conns_are() { is_n=$(our_conns "$1"); [ "$is_n" = "$2" ] || { echo "$is_n connections of ours on $1"; return 1; }; }
sas_are() { is_n=$(our_sas "$1"); [ "$is_n" = "$2" ] || { echo "$is_n security associations of ours on $1:"; ip -n "$1" xfrm state; return 1; }; }
# sas_show HOST PATTERN: of what its charon lists; says HOST PATTERN COMMAND...: of what ipsecpol prints
sas_show() { swan "$1" --list-sas >/run/sas 2>&1; grep -qE -- "$2" /run/sas || { cat /run/sas; return 1; }; }

# ---- our daemon of a host ----
# agent_conf HOST [LINE...]: of the section [ike]
agent_conf() {
	agent_host=$1; shift
	{
		cat <<-EOC
		[directory]
		uri = ldif:/run/$agent_host/domain.ldif
		computer = HOST$agent_host
		[enforcement]
		dns-servers = 10.9.0.250
		[daemon]
		state-dir = /run/$agent_host/state
		run-dir = /run/$agent_host/run
		worker = /run/bin/ipsecpol-worker
		worker-user = nobody
		[ike]
		vici = /run/$agent_host/charon.vici
		EOC
		for agent_line; do echo "$agent_line"; done
	} >"/run/$agent_host/conf"
	chmod 644 "/run/$agent_host/conf"
}
agent_start() {
	nsenter --net="/run/netns/$1" /run/bin/ipsecpold --config "/run/$1/conf" 2>>"/run/$1/agent.log" &
	echo $! >"/run/$1/agent.pid"
}
agent_up() { within 20 cli "$1" status || { tail -20 "/run/$1/agent.log"; return 1; }; }
agent_kill() { kill -"${2:-TERM}" "$(cat "/run/$1/agent.pid")"; wait "$(cat "/run/$1/agent.pid")" 2>/dev/null; }
agent_restart() { agent_kill "$1"; agent_start "$1"; agent_up "$1"; }
# cli HOST COMMAND...
cli() { cli_host=$1; shift; in_ns "$cli_host" /run/bin/ipsecpol --config "/run/$cli_host/conf" "$@"; }
says() {
	says_host=$1 says_pattern=$2; shift 2
	cli "$says_host" "$@" >/run/says 2>&1; grep -qiE -- "$says_pattern" /run/says || { cat /run/says; return 1; }
}
# policy NAME HOST...: a GPO assigns another policy, and the host is told
policy() {
	policy_name=$1; shift
	for policy_host; do
		cp "$policies/$policy_name.ldif" "/run/$policy_host/domain.new" && chmod 644 "/run/$policy_host/domain.new" &&
			mv "/run/$policy_host/domain.new" "/run/$policy_host/domain.ldif"
		cli "$policy_host" refresh >/run/refresh 2>&1 || { fail "$policy_host: refresh to $policy_name"; sed 's/^/     | /' /run/refresh; tail -5 "/run/$policy_host/agent.log"; }
	done
}

# ---- traffic ----
net_start() {
	mkfifo /run/net.in /run/net.out
	python3 "$here/net.py" A B C G H NG NH </run/net.in >/run/net.out 2>/run/net.err &
	exec 7>/run/net.in 8</run/net.out
	read -r answer <&8 && [ "$answer" = ready ]
}
# net COMMAND...: $answer
net() { echo "$*" >&7; read -r answer <&8; }
probe() { net probe "$1" "$2" "$3" "$4" "$5"; [ "${answer% *}" = yes ]; }
# passes NAME HOST DESTINATION PROTOCOL PORT [SECONDS]; blocked: nothing comes back
passes() { if probe "$2" "$3" "$4" "$5" "${6:-6}"; then ok "$1 (${answer#* } ms)"; else fail "$1 ($answer)"; why "$2"; fi; }
# returns NAME SECONDS HOST DESTINATION PROTOCOL PORT: passes again within that time
returns() {
	returns_name=$1 returns_max=$2 returns_start=$(seconds); shift 2
	if within "$returns_max" probe "$@" 1; then
		ok "$returns_name (after $(awk -v a="$returns_start" -v b="$(seconds)" 'BEGIN { printf "%.1f", b - a }') s)"
	else
		fail "$returns_name"; why "$1"
	fi
}
blocked() { if probe "$2" "$3" "$4" "$5" "${6:-1}"; then fail "$1 ($answer)"; why "$2"; else ok "$1"; fi; }
why() {
	[ -e "/run/$1/charon.pid" ] || return 0
	{
		xfrm_policies "$1" | grep tmpl; ip -n "$1" xfrm state | grep -E '^src|reqid'; swan "$1" --list-sas | grep -v '^ *\(local\|remote\|queued\|active\)'
		tail -4 "/run/$1/agent.log"; grep -vE 'vici|KNL|ENC' "/run/$1/charon.log" | tail -12
	} 2>&1 | cut -c1-200 | sed 's/^/     | /' | head -50
}

# ---- what the capture has to show ----
capture_start() {
	tcpdump -i br0 -n -s 128 -B 8192 -U --immediate-mode -Z root -w /run/capture.pcap >/run/tcpdump.out 2>&1 &
	echo $! >/run/tcpdump.pid
	within 10 test -s /run/capture.pcap
}
capture_stop() { sleep 0.5; kill -INT "$(cat /run/tcpdump.pid)"; wait "$(cat /run/tcpdump.pid)"; }
# forbid ID SOURCE DESTINATION [PROTOCOL [PORT]]: no packet in clear from now on, until allow ID
forbid() { sleep 0.1; echo "open $(now) $(echo "$1" | tr ' ' _) $2 $3 ${4:-any} ${5:-0} $scenario: $1 in clear" >>$windows; }
allow() { for allow_id; do echo "close $(now) $(echo "$allow_id" | tr ' ' _)" >>$windows; done; }
# forbid_between NAME NAME ADDRESS ADDRESS [PROTOCOL [PORT]]: both ways
forbid_between() { forbid "$1>$2" "$3" "$4" "${5:-any}" "${6:-0}"; forbid "$2>$1" "$4" "$3" "${5:-any}" "${6:-0}"; }
allow_between() { allow "$1>$2" "$2>$1"; }
# since: $mark is now.  want MIN MAX SOURCE DESTINATION KIND PORT NAME: since then, such packets were seen
since() { mark=$(now); }
want() { sleep 0.1; want_n="$1 $2 $3 $4 $5 $6"; shift 6; echo "want $mark $(now) $want_n $scenario: $*" >>$windows; }
