# That the machine, the capture and the judge are worth something, without ipsecpol: IPsec set up by hand.

by_hand_conn() {
	cat >"/run/$1/swanctl.conf" <<-EOC
	connections {
	  by-hand {
	    version = 1
	    proposals = 3des-sha1-modp1024
	    local_addrs = $2
	    remote_addrs = $3
	    local {
	      auth = psk
	    }
	    remote {
	      auth = psk
	    }
	    children {
	      all {
	        mode = transport
	        policies = no
	        reqid = 7
	        start_action = trap
	        esp_proposals = 3des-sha1
	      }
	    }
	  }
	}
	secrets {
	  ike-by-hand {
	    id = $3
	    secret = "by hand"
	  }
	}
	EOC
	swan "$1" --load-all
}
by_hand_policy() {
	ip -n "$1" xfrm policy add src "$2" dst "$3" dir out priority 1000 tmpl proto esp mode transport reqid 7 level required
	ip -n "$1" xfrm policy add src "$3" dst "$2" dir in priority 1000 tmpl proto esp mode transport reqid 7 level required
}
scenario_harness() {
	since
	passes "A to B in clear" A $B tcp 7777
	passes "A to B over IPv6" A $B6 icmp 0
	want 3 0 $A $B tcp 7777 "the capture shows it"
	want 1 0 $A6 $B6 icmp 0 "IPv6 too"
	# The same packets, forbidden: the judge has to find them.
	printf 'open %s selftest %s %s any 0 forbidden packets are found\n' "$mark" $A $B >/run/windows.bad
	check "connection of A" by_hand_conn A $A $B
	check "connection of B" by_hand_conn B $B $A
	by_hand_policy A $A $B; by_hand_policy B $B $A
	since
	forbid_between A B $A $B
	passes "A to B, protected" A $B tcp 7777
	passes "B to A, protected" B $A icmp 0
	want 3 0 $A $B esp 0 "ESP from A"
	want 3 0 $B $A esp 0 "ESP from B"
	allow_between A B
	for h in A B; do
		swan $h --terminate --ike by-hand --force >/dev/null 2>&1
		rm -f /run/$h/swanctl.conf; : >/run/$h/swanctl.conf; swan $h --load-all >/dev/null 2>&1
		ip -n $h xfrm policy flush; ip -n $h xfrm state flush
	done
	passes "in clear again" A $B tcp 7777
	# What is on the wire so far, judged by a statement that does not hold.
	sleep 0.3
	check_not "the judge finds a forbidden packet" sh -c "python3 '$here/judge.py' /run/windows.bad /run/capture.pcap >/run/judged.bad"
	check "and says which" grep -q "FAIL wire: forbidden packets are found" /run/judged.bad
}
