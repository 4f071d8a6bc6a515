# Figures; nothing here is judged by its time.
sleep_and() { sleep 2; "$@"; }
scenario_thousand() {
	lines=$(wc -l </run/A/agent.log) t0=$(seconds)
	policy thousand A
	t1=$(seconds)
	check "charon holds them" within 300 sh -c "tail -n +$((lines + 1)) /run/A/agent.log | grep 'holds all connections'"
	t2=$(seconds)
	n=$(our_policies A) k=$(our_conns A)
	[ "$n" -ge 2000 ] && ok "$n IPsec policies for 1,000 mirrored filters" || fail "$n IPsec policies for 1,000 mirrored filters"
	[ "$k" -ge 1 ] && ok "$k connections" || fail "no connection"
	blocked "the last one" A 10.77.3.250 tcp 7777
	t3=$(seconds)
	policy none A
	t4=$(seconds)
	check "no policy is left" policies_are A 0
	# Asked seldom: a list of so many is itself work for charon.
	check "no connection is left" within 300 sleep_and conns_are A 0
	t5=$(seconds)
	note "$(echo "$t0 $t1 $t2 $t3 $t4 $t5" | awk '{ printf "1,000 filters: kernel %.1f s, charon %.1f s; taken away: kernel %.1f s, charon %.1f s", $2 - $1, $3 - $1, $5 - $4, $6 - $4 }')"
}

scenario_latency() {
	policy require A B
	forbid_between A B $A $B
	# 1 is the kernel's default: a packet that has to wait for its keys is dropped.  0 keeps it, in one queue for all peers of
	# a policy, so that one who does not answer holds up the others; A has to meet nobody else here.
	for drop in 1 0; do
		larval_drop $drop
		for protocol in tcp udp; do
			line=
			for n in 1 2; do
				end_sas A B
				sleep 0.3
				if probe A $B $protocol 7777 10; then line="$line ${answer#* }"; else fail "first packet, $protocol, xfrm_larval_drop=$drop"; fi
			done
			ok "first answer, $protocol, xfrm_larval_drop=$drop:$line ms"
		done
	done
	larval_drop 1
	allow_between A B
	policy none A B
}
