# Things happen while packets flow: daemons die, policies change, others tidy up.
scenario_charon() {
	policy require A B
	forbid_between A B $A $B
	passes "A to B" A $B tcp 7777
	net stream s A $B udp 8888 0.3
	charon_stop B
	blocked "B's IKE daemon stopped: A to B" A $B tcp 7777 2
	blocked "B to A" B $A tcp 7777 2
	check "B's status says so" says B 'charon|ike' status
	charon_start B; check "it is started" charon_up B
	returns "A to B, by itself" 30 A $B tcp 7777
	charon_kill B
	since
	sleep 1
	charon_start B; check "killed and started" charon_up B
	# The new charon knows nothing of the SAs: they stay until there are others.
	returns "A to B, which has forgotten" 10 A $B tcp 7777
	returns "B to A" 10 B $A tcp 7777
	charon_kill A; charon_start A; check "A's, killed and started" charon_up A
	swan A --load-all >/dev/null 2>&1
	returns "B to A, by itself" 40 B $A tcp 7777
	charon_kill A; charon_kill B; ip -n A xfrm state flush; ip -n B xfrm state flush
	blocked "both killed, keys lost" A $B tcp 7777 2
	charon_start A; charon_start B
	returns "both started" 40 A $B tcp 7777
	swan A --load-all >/dev/null 2>&1
	returns "and the administrator's files loaded" 20 A $B tcp 7777
	net stop s; note "stream: sent and answered $answer"
	the_foreign >/run/foreign
	allow_between A B
}

scenario_agent() {
	policy require A B
	forbid_between A B $A $B
	passes "A to B" A $B tcp 7777
	net stream s A $B udp 8888 0.3
	agent_kill A KILL
	passes "the agent killed: still protected" A $B tcp 7777
	agent_start A; check "started again" agent_up A
	passes "still protected" A $B tcp 7777
	check "stopped and started" agent_restart A
	passes "and still" A $B tcp 7777
	n=$(our_policies A)
	[ "$n" -ge 2 ] && ok "$n IPsec policies" || fail "$n IPsec policies"
	# Somebody flushes the kernel's policies, not knowing whose they are.
	ip -n A xfrm policy flush
	check "flushed policies are put back" within 20 policies_are A "$n"
	passes "and protect" A $B tcp 7777
	ip -n A xfrm policy add src $A dst 10.99.1.0/24 dir out priority 1000 action block
	ip -n A xfrm policy add src $A dst 10.99.2.0/24 dir out priority 70000 tmpl proto esp mode transport reqid 99 level use
	# Who loads his files again makes them the whole truth for charon.
	swan A --load-conns >/dev/null 2>&1; swan A --terminate --ike admins >/dev/null 2>&1
	end_sas A B
	returns "unloaded connections come back" 40 A $B tcp 7777
	check "and are ours" within 5 conns_are A 1
	in_ns A nft flush ruleset
	returns "flushed rules come back" 15 A $B tcp 7777
	net stop s; note "stream: sent and answered $answer"
	allow_between A B
	# His trap was flushed too: he puts it back.
	swan A --load-all >/dev/null 2>&1; swan A --uninstall --child admins >/dev/null 2>&1; swan A --install --child admins >/dev/null 2>&1
	the_foreign >/run/foreign
}

scenario_change() {
	policy two A B
	forbid_between "A 7777" "B 7777" $A $B tcp 7777; forbid_between "A 8888" "B 8888" $A $B tcp 8888
	net stream s7 A $B tcp 7777 0.5; net stream s8 A $B tcp 8888 0.5
	passes "the first rule" A $B tcp 7777
	returns "the second rule" 6 A $B tcp 8888
	# 7777 stays forbidden all the time.
	allow_between "A 8888" "B 8888"
	policy service A B
	since
	returns "the second rule removed: clear" 10 A $B tcp 8888
	# The connection is another one without the second rule's child: it is negotiated anew.
	returns "the first one still protected" 15 A $B tcp 7777
	want 3 0 $A $B tcp 8888 "8888 in clear"
	want 3 0 $A $B esp 0 "7777 in ESP"
	policy two A B
	forbid_between "A 8888" "B 8888" $A $B tcp 8888
	returns "the second rule again" 15 A $B tcp 8888
	# From here on all traffic between the two is negotiated, then in AH.
	policy require A B
	forbid_between A B $A $B
	returns "everything" 15 A $B tcp 7777
	since; passes "in ESP" A $B tcp 9999; want 3 0 $A $B esp 0 "ESP"
	policy require-ah A B
	returns "other offers" 20 A $B tcp 7777
	sleep 1
	since; passes "in AH" A $B tcp 9999; want 3 0 $A $B ah 0 "AH"; want 0 - $A $B esp 0 "no ESP any more"
	allow_between "A 7777" "B 7777"; allow_between "A 8888" "B 8888"; allow_between A B
	policy require-permit A B
	since; returns "permitted" 10 A $B tcp 7777; want 3 0 $A $B tcp 7777 "clear"
	policy require A B
	forbid_between A B $A $B
	returns "negotiated again" 15 A $B tcp 7777
	# The rule goes: the same as no rule.
	allow_between A B
	policy require-open A B
	returns "no rule" 10 A $B tcp 7777
	policy require A B
	forbid_between A B $A $B
	returns "and again" 15 A $B tcp 7777
	net stop s7; note "stream 7777: sent and answered $answer"
	net stop s8; note "stream 8888: sent and answered $answer"
	allow_between A B
}

# A connection that lives through it all.
scenario_connection() {
	policy require A B
	forbid_between A B $A $B
	net connect c A $B 7777 6
	[ "$answer" = yes ] && ok "a connection" || fail "a connection"
	end_sas A B
	net talk c 10; [ "${answer% *}" = yes ] && ok "keys lost on both sides (${answer#* } ms)" || fail "keys lost on both sides ($answer)"
	policy require-ah A B
	net talk c 15; [ "${answer% *}" = yes ] && ok "other offers (${answer#* } ms)" || fail "other offers ($answer)"
	allow_between A B
}

scenario_removed() {
	policy require A B
	passes "assigned" A $B tcp 7777
	for h in A B; do cp "$policies/none.ldif" /run/$h/domain.ldif; cli $h refresh >/dev/null 2>&1; done
	returns "assignment removed: clear" 10 A $B tcp 7777
	for h in A B; do
		check "no IPsec policy of ours on $h" policies_are $h 0
		check "no connection of ours on $h" conns_are $h 0
		check "no security association of ours on $h" sas_are $h 0
		check_not "no table on $h" in_ns $h nft list table inet ipsecpol
	done
	the_foreign >/run/foreign.now
	check "the administrator's own is untouched" diff /run/foreign /run/foreign.now
}
