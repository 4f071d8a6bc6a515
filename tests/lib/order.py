#!/usr/bin/python3
"""order.py < LDIF: the objects of a policy in an order in which an AD takes them, without what refers back."""
import re
import sys

order = ['ipsecfilter', 'ipsecnegotiationpolicy', 'ipsecisakmppolicy', 'ipsecnfa', 'ipsecpolicy']
records = sys.stdin.read().replace('\n ', '').strip().split('\n\n')
records.sort(key=lambda r: order.index(re.match(r'dn: CN=([a-z]+)', r, re.I).group(1).lower()))
print('\n\n'.join('\n'.join(l for l in r.split('\n') if not l.lower().startswith('ipsecownersreference:')) for r in records))
