# Transport mode: require and its kin between A and B, while C is plain.
key_file() { (umask 077 && printf 'what stands for Kerberos' >"/run/$1/kerberos.psk"); }
# ike_conf HOST VERSION [LINE...]
ike_conf() {
	ike_host=$1 ike_version=$2; shift 2
	key_file "$ike_host"
	agent_conf "$ike_host" "version = $ike_version" "kerberos = psk /run/$ike_host/kerberos.psk" "$@"
}
# certificate_lines NAME: of the section [ike]
certificate_lines() { printf 'ca = /run/pki/ca.pem\ncertificate = /run/pki/%s.pem\nprivate-key = /run/pki/%s.key\n' "$1" "$1"; }
the_foreign() {
	swan A --list-conns | sed -n '/^admins:/,/^[^ ]/p' | grep -v '^ipsecpol'
	xfrm_policies A | grep 10.99.
	swan A --list-pols | grep -A9 '^admins'
}
scenario_start() {
	mkdir -m 700 /run/pki && cp /run/out/pki/*.pem /run/out/pki/*.key /run/pki && chmod 600 /run/pki/*
	# What an administrator has made by hand on A, and that nobody may touch.
	cat >/run/A/swanctl.conf <<-EOC
	connections {
	  admins {
	    remote_addrs = 10.99.0.1
	    local {
	      auth = psk
	    }
	    remote {
	      auth = psk
	    }
	    children {
	      admins {
	        remote_ts = 10.99.0.0/24
	        start_action = trap
	      }
	    }
	  }
	}
	secrets {
	  ike-admins {
	    id = 10.99.0.1
	    secret = "his own"
	  }
	}
	EOC
	swan A --load-all >/dev/null 2>&1
	ip -n A xfrm policy add src $A dst 10.99.1.0/24 dir out priority 1000 action block
	ip -n A xfrm policy add src $A dst 10.99.2.0/24 dir out priority 70000 tmpl proto esp mode transport reqid 99 level use
	ip -n A route add 10.99.0.0/16 via $C
	the_foreign >/run/foreign
	check "an administrator has his own" sh -c 'grep -q admins /run/foreign && [ "$(grep -c 10.99. /run/foreign)" -ge 3 ]'
	for h in A B; do
		ike_conf $h 1 "$(certificate_lines "$(echo $h | tr AB ab)")"
		cp "$policies/none.ldif" /run/$h/domain.ldif
		agent_start $h
	done
	for h in A B; do check "the agent of $h" agent_up $h; done
	passes "no policy: in clear" A $B tcp 7777
}

scenario_require() {
	policy require A B
	since
	forbid_between A B $A $B; forbid "A>C" $A $C; forbid "B>C" $B $C
	passes "A to B, tcp" A $B tcp 7777
	passes "B to A, tcp" B $A tcp 7777
	passes "A to B, udp" A $B udp 8888
	passes "B to A, ping" B $A icmp 0
	check "fragments" in_ns A ping -q -c 1 -W 2 -s 4000 $B
	want 8 0 $A $B esp 0 "ESP from A"
	want 8 0 $B $A esp 0 "ESP from B"
	blocked "the plain host to A" C $A tcp 7777
	blocked "the plain host to B, ping" C $B icmp 0
	blocked "A to the plain host" A $C udp 7777
	net raw A $B 7777
	check "IKEv1" sas_show A '^ipsecpol-.*IKEv1'
	check "3DES" sas_show A 'ESP:3DES_CBC/HMAC_SHA1_96'
	check "dynamic show mmsas" says A $B dynamic show mmsas
	check "dynamic show qmsas" says A $B dynamic show qmsas
	check "dynamic show stats" cli A dynamic show stats
	check "show peers" says A $B show peers
	check "status" cli A status
	check_not "no key in what is shown" sh -c "cd /run/A && /run/bin/ipsecpol --config conf status --json | grep -q 'correct horse' || grep -q 'correct horse' agent.log charon.log"
	allow "A>C" "B>C"
	# Somebody with another key.
	policy require-stranger B
	blocked "another key: A to B" A $B tcp 7777 3
	blocked "another key: B to A" B $A tcp 7777 3
	policy require B
	returns "the right key again" 15 A $B tcp 7777
	allow_between A B
}

scenario_pfs() {
	policy pfs A B
	since
	forbid_between A B $A $B
	passes "A to B" A $B tcp 7777
	# The first quick mode shows its group only in IKEv1.
	check "a group of its own" sas_show A 'ESP:3DES_CBC/HMAC_SHA1_96/MODP_'
	want 3 0 $A $B esp 0 "ESP"
	allow_between A B
}

scenario_everything() {
	policy everything A B
	since
	forbid_between A B $A $B; forbid_between A6 B6 $A6 $B6; forbid "A6>C6" $A6 $C6
	ip -n A neigh flush dev eth0
	passes "A to B" A $B tcp 7777
	passes "A to B over IPv6" A $B6 tcp 7777
	passes "B to A over IPv6, ping" B $A6 icmp 0
	blocked "the plain host over IPv6" C $A6 tcp 7777
	want 3 0 $A6 $B6 esp 0 "ESP over IPv6"
	allow_between A B; allow_between A6 B6; allow "A6>C6"
}

scenario_service() {
	policy service A B
	since
	forbid_between A B $A $B tcp 7777; forbid "A>C" $A $C tcp 7777
	passes "the service, A to B" A $B tcp 7777
	passes "the service, B to A" B $A tcp 7777
	passes "another port in clear" A $B tcp 8888
	passes "another protocol in clear" B $A udp 7777
	blocked "the plain host asks for the service" C $A tcp 7777
	passes "the plain host asks for something else" C $A tcp 8888
	blocked "A asks the plain host for it" A $C tcp 7777
	want 3 0 $A $B esp 0 "ESP"
	want 3 0 $A $B tcp 8888 "clear is clear"
	allow_between A B; allow "A>C"
}

scenario_exceptions() {
	policy exceptions A B
	since
	for p in "tcp 7777" "tcp 9999" "udp 0" "icmp 0"; do forbid_between "A $p" "B $p" $A $B $p; done
	passes "negotiated" A $B tcp 7777
	passes "negotiated, ping" B $A icmp 0
	passes "permitted above" A $B tcp 8888
	passes "permitted above, the other way" B $A tcp 8888
	passes "permitted above, plain host" C $A tcp 8888
	blocked "blocked above" A $B tcp 9999
	want 3 0 $A $B tcp 8888 "clear is clear"
	want 3 0 $A $B esp 0 "ESP"
	for p in "tcp 7777" "tcp 9999" "udp 0" "icmp 0"; do allow_between "A $p" "B $p"; done
}

scenario_certificate() {
	policy certificate A B
	since
	forbid_between A B $A $B
	passes "A to B" A $B tcp 7777 10
	passes "B to A" B $A tcp 7777
	check "with certificates" sas_show A 'CN=b.corp.example'
	want 3 0 $A $B esp 0 "ESP"
	# B gets a certificate of another CA, which its A trusts for nothing.
	ike_conf B 1 "ca = /run/pki/other.pem" "certificate = /run/pki/stranger.pem" "private-key = /run/pki/stranger.key"
	agent_kill B; end_sas A B; agent_start B; check "the agent of B, with another CA's certificate" agent_up B
	blocked "is not believed" A $B tcp 7777 3
	blocked "the other way" B $A tcp 7777 3
	ike_conf B 1 "$(certificate_lines b)"
	agent_kill B; agent_start B; check "the agent of B, with its certificate" agent_up B
	returns "believed again" 20 A $B tcp 7777
	allow_between A B
}

scenario_ikev2() {
	for h in A B; do ike_conf $h 2 "$(certificate_lines "$(echo $h | tr AB ab)")"; agent_restart $h; done
	policy require A B
	since
	forbid_between A B $A $B
	passes "A to B" A $B tcp 7777
	passes "B to A" B $A udp 7777
	check "IKEv2" sas_show A '^ipsecpol-.*ESTABLISHED, IKEv2'
	want 3 0 $A $B esp 0 "ESP"
	policy certificate A B
	returns "with certificates" 15 A $B tcp 7777
	allow_between A B
	policy none A B
	for h in A B; do ike_conf $h 1 "$(certificate_lines "$(echo $h | tr AB ab)")"; agent_restart $h; done
}
