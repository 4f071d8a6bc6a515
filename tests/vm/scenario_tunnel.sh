# Two gateways with nets behind them.
scenario_tunnel() {
	for h in G H; do
		agent_conf $h "version = 1"
		cp "$policies/none.ldif" /run/$h/domain.ldif
		agent_start $h
	done
	for h in G H; do check "the agent of $h" agent_up $h; done
	passes "no policy: net to net in clear" NG $NH tcp 7777
	policy tunnel-g G; policy tunnel-h H
	since
	forbid_between NG NH 10.10.0.0/24 10.20.0.0/24
	passes "net to net" NG $NH tcp 7777 10
	passes "the other way" NH $NG tcp 7777
	passes "ping" NG $NH icmp 0
	passes "the gateways themselves, in clear" G $H tcp 7777
	want 5 0 $G $H esp 0 "ESP from gateway to gateway"
	want 5 0 $H $G esp 0 "and back"
	want 3 0 $G $H tcp 7777 "clear is clear"
	check "tunnel mode" sas_show G 'INSTALLED, TUNNEL'
	charon_stop H
	blocked "one IKE daemon stopped" NG $NH tcp 7777 2
	blocked "the other way" NH $NG udp 7777 2
	charon_start H; check "started" charon_up H
	returns "by itself" 30 NG $NH tcp 7777
	for h in G H; do agent_conf $h "version = 2"; agent_restart $h >/dev/null; done
	returns "IKEv2" 30 NG $NH tcp 7777
	check "it is" within 10 sas_show G '^ipsecpol-.*IKEv2'
	allow_between NG NH
	policy none G H
	returns "without the policy: clear" 10 NG $NH tcp 7777
	check "no IPsec policy is left" policies_are G 0
}
