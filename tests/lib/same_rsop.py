#!/usr/bin/env python3
"""same_rsop.py IPSECPOL CONF URI COUNT [OPTION...]: `show rsop --all` says of COUNT computers (0: of
all) what `show rsop --computer` says of each; prints how many, or the first that differs."""
import json
import random
import subprocess
import sys

tool, conf, uri, count = sys.argv[1:5]
command = [tool, '--config', conf, 'show', 'rsop', '--json', '--directory', uri] + sys.argv[5:]


def ask(*more):
    return subprocess.run(command + list(more), capture_output=True, text=True)


def one(name):
    """As --all has it."""
    r = ask('--computer', name)
    if r.returncode:
        return {'assignment': 'unknown', 'failed': True, 'reason': r.stderr.strip()[len('ipsecpol: '):], 'policy': None, 'winner': None, 'verdicts': {}}
    j = json.loads(r.stdout)
    ret = {k: j[k] for k in ('computer_dn', 'domain', 'site', 'site_from', 'assignment', 'reason', 'policy', 'winner')}
    ret['failed'] = False
    ret['verdicts'] = {}
    for g in j['gpos']:
        ret['verdicts'][g['verdict']] = ret['verdicts'].get(g['verdict'], 0) + 1
    return ret


whole = json.loads(ask('--all').stdout)
everyone = [c for c in whole['computers'] if 'no sAMAccountName' not in c['reason']]
if int(count):
    everyone = random.Random(int(count)).sample(everyone, min(int(count), len(everyone)))
for c in everyone:
    want = one(c['computer'])
    got = {k: c[k] for k in want}
    if got != want:
        print('%s: --all says\n%s\n--computer says\n%s' % (c['computer'], json.dumps(got, sort_keys=True), json.dumps(want, sort_keys=True)))
        sys.exit(1)
n = {a: sum(c['assignment'] == a for c in whole['computers']) for a in ('assigned', 'none', 'unknown')}
s = whole['summary']
assert s['computers'] == len(whole['computers']) and all(s[a] == n[a] for a in n), s
assert n['assigned'] == sum(p['computers'] for p in s['policies'])
assert n['none'] == sum(p['computers'] for p in s['verdicts'])
assert n['unknown'] == sum(p['computers'] for p in s['reasons'])
print('%d computers; %d assigned, %d none, %d unknown' % (len(everyone), n['assigned'], n['none'], n['unknown']))
