# Where clear is allowed until somebody can do better: request, inbound pass-through, the examples of Windows.
scenario_request() {
	policy none B; policy request A
	since
	passes "A to the plain host" A $C tcp 7777
	passes "the plain host to A" C $A tcp 7777
	passes "A to B, which has no policy" A $B tcp 7777
	want 3 0 $A $C tcp 7777 "the plain host in clear"
	want 3 0 $A $B tcp 7777 "B in clear"
	# B begins to speak IKE.
	policy require B
	forbid "B>A" $B $A
	returns "B wants security and gets it" 20 B $A tcp 7777
	since
	forbid "A>B" $A $B
	passes "A to B, now protected" A $B tcp 7777
	passes "A to B, udp" A $B udp 8888
	want 5 0 $A $B esp 0 "ESP"
	check "the peer's state is shown" says A $B show peers
	passes "the plain host is still served" C $A tcp 7777
	# B cannot any more: never clear again all the same.
	charon_stop B
	blocked "B's IKE daemon is gone" A $B tcp 7777 2
	end_sas A
	blocked "the keys too" A $B udp 7777 2
	allow "B>A"; policy none B
	blocked "B has no policy any more: A sends it nothing in clear" A $B tcp 7777 2
	passes "A to the plain host" A $C tcp 7777
	charon_start B; check "B's IKE daemon" charon_up B
	policy require B
	forbid "B>A" $B $A
	returns "and B has security again" 30 B $A tcp 7777
	allow "A>B" "B>A"
	# A's memory of B ends with the rule.
	policy none A B
	passes "without the rule: clear" A $B tcp 7777
}

# Both request: nobody insists, and yet it ends in ESP.
scenario_both_request() {
	policy request A B
	within 15 probe A $B tcp 7777 1
	sleep 1
	since
	forbid_between A B $A $B
	passes "A to B" A $B tcp 7777
	passes "B to A" B $A udp 7777
	want 3 0 $A $B esp 0 "ESP"
	passes "A to the plain host" A $C udp 7777
	allow_between A B
	policy none A B
}

scenario_inpass() {
	policy inpass A; policy require B
	since
	forbid "A>C" $A $C; forbid_between A B $A $B
	passes "A to B" A $B tcp 7777
	passes "B to A" B $A tcp 7777
	net got A udp 8888; before=$answer
	blocked "the plain host gets no answer" C $A udp 8888
	net got A udp 8888
	[ "$answer" -gt "$before" ] && ok "but was heard" || fail "but was heard ($before, $answer)"
	blocked "no tcp connection" C $A tcp 7777
	blocked "A to the plain host" A $C tcp 7777
	want 3 0 $A $B esp 0 "ESP"
	want 1 0 $C $A udp 8888 "the plain host in clear"
	allow "A>C"; allow_between A B
}

scenario_examples() {
	policy secure-server A; policy client B
	since
	forbid "A>C" $A $C tcp; forbid "A>B tcp" $A $B tcp; forbid "A>B udp" $A $B udp
	passes "ping is permitted" B $A icmp 0
	passes "ping, the plain host" C $A icmp 0
	passes "a client to the secure server" B $A tcp 7777 10
	passes "the secure server to a client" A $B tcp 7777 10
	blocked "the plain host to the secure server" C $A tcp 7777 2
	blocked "the secure server to the plain host" A $C tcp 7777 2
	want 3 0 $A $B esp 0 "ESP"
	allow "A>C" "A>B tcp" "A>B udp"
	policy none A B; policy server A; policy client B
	passes "the plain host to the requesting server" C $A tcp 7777
	passes "the requesting server to the plain host" A $C tcp 7777
	within 15 probe B $A tcp 7777 1
	sleep 1
	since
	forbid "A>B tcp" $A $B tcp
	passes "a client to the requesting server" B $A tcp 7777
	want 2 0 $A $B esp 0 "ESP from the requesting server"
	allow "A>B tcp"
	policy none A B; policy client A B
	since
	passes "two clients" A $B tcp 7777
	want 3 0 $A $B tcp 7777 "in clear"
	# Without a mapping there is no Kerberos: closed, and said.
	policy none A B
	agent_conf A "version = 1" "kerberos = none"; agent_restart A >/dev/null
	policy secure-server A
	forbid "A>B tcp" $A $B tcp; forbid "A>C" $A $C tcp
	blocked "no mapping: the secure server is closed" B $A tcp 7777 2
	blocked "and to the outside" A $C tcp 7777 2
	check "status says why" says A kerberos status
	allow "A>B tcp" "A>C"
	policy none A
	ike_conf A 1 "$(certificate_lines a)"; agent_restart A >/dev/null
}
