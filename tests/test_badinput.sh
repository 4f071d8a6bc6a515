#!/bin/sh
# Bad input: every command of both contexts, as its own help tells of it, with missing, unknown,
# contradictory and oversized values, and the other commands likewise: one clear line, exit status 64
# (grammar of the command line) or 1, no secret in it, nothing on standard output, nothing changed.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"

conf WEB1
# Nobody assigns a policy to it: the local one counts.
python3 -c 'import re, sys
s = open(sys.argv[1]).read().replace("\n ", "")
open(sys.argv[1], "w").write(re.sub("\ngPLink:[^\n]*", "", s, flags=re.I))' "$t/corp.ldif"
# Names that are there twice: what was exported comes back under other GUIDs.
cat >"$t/twice" <<'EOS'
pushd ipsec static
add policy name=twice
add filterlist name=twice
add filteraction name=twice action=permit
EOS
check "objects" cli exec "$t/twice"
check "exported" cli static exportpolicy "$t/twice.ldif"
python3 - "$t/twice.ldif" <<'PY'
import re, sys
s = open(sys.argv[1]).read().replace('\n ', '')
for g in set(re.findall(r'ipsec[A-Za-z]+(\{[^}]*\})', s)):
    s = re.sub(re.escape(g[:5]) + '(?=' + re.escape(g[5:]) + ')', '{beef', s, flags=re.I)
open(sys.argv[1], 'w').write(s)
PY
check "there twice now" cli static importpolicy "$t/twice.ldif"
cat >"$t/base" <<'EOS'
pushd ipsec static
add filter filterlist=l1 srcaddr=any dstaddr=me protocol=TCP dstport=4101
add filter filterlist=l2 srcaddr=any dstaddr=me protocol=TCP dstport=4102
add filterlist name=free
add filteraction name=a1 action=block
add filteraction name=a2 action=negotiate
add filteraction name=pass action=permit
add policy name=p1 activatedefaultrule=no
add policy name=p2
add rule name=r1 policy=p1 filterlist=l1 filteraction=a1
add rule name=r2 policy=p2 filterlist=l2 filteraction=a2 psk=S3cr3tKey
add rule name=r3 policy=p2 filterlist=l1 filteraction=a1
set policy name=p1 assign=yes
set store persistent
add filter filterlist=l1 srcaddr=any dstaddr=me protocol=TCP dstport=4103
add filteraction name=a1 action=block
add policy name=p1 activatedefaultrule=no
add rule name=r1 policy=p1 filterlist=l1 filteraction=a1
set policy name=p1 assign=yes
EOS
check "what is not to change" cli exec "$t/base"
check "the daemon" start
check "has asked" cli refresh
cat >"$t/dynamic" <<'EOS'
pushd ipsec dynamic
add mmpolicy name=mm
add qmpolicy name=qm
add rule srcaddr=10.9.1.1 dstaddr=me actioninbound=block actionoutbound=block
set config property=ipsecloginterval value=600
EOS
check "dynamic objects" cli exec "$t/dynamic"

# The driver prints what it found out in check.sh's words; "N cases" is what a line stands for.
cat >"$t/driver.py" <<'PY'
import concurrent.futures, hashlib, os, re, shlex, subprocess, sys

TOOL, T, LDIF = sys.argv[1:4]
WITH_DAEMON = sys.argv[4] == 'daemon'
CONF = ['--config', T + '/conf']
SECRET = 'S3cr3tKey'
LONG = 'x' * 100000
N_WORDS = 600
NOBODY = dict(user=65534, group=65534, extra_groups=[])


def run(words, stdin=b'', **more):
    # As bytes: some are no text.
    argv = [w if isinstance(w, bytes) else os.fsencode(w) for w in [TOOL] + CONF + words]
    r = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, **more)
    return r.returncode, r.stdout.decode('utf-8', 'backslashreplace'), r.stderr.decode('utf-8', 'backslashreplace')


# ---- what must not change ----

def state():
    """A text for each of: the registry, the files around it, the kernel's table, the service's own."""
    def file(name):
        with open(name, 'rb') as f:
            return hashlib.sha256(f.read()).hexdigest()
    s = {'registry': run(['reg', 'query', 'HKLM', '--secrets'])[1]}
    s['registry.db'] = file(T + '/state/registry.db')
    s['files'] = '\n'.join(sorted(os.path.join(d, f) for d, _, fs in os.walk(T) for f in fs if '/run' not in d))
    s['directory'] = file(LDIF)
    table = subprocess.run(['nft', 'list', 'table', 'inet', 'ipsecpol'], stdout=subprocess.PIPE, text=True).stdout
    s['table'] = '\n'.join(sorted(re.sub(r'packets \d+ bytes \d+', '', table).split('\n')))
    if WITH_DAEMON:
        for what in ('rule', 'mmpolicy', 'qmpolicy', 'config'):
            s['dynamic ' + what] = run(['--json', 'dynamic', 'show', what])[1]
    return s


n_passed = n_failed = 0
before = None


def say(ok, name, why=()):
    global n_passed, n_failed
    n_passed += ok
    n_failed += not ok
    print(('ok   ' if ok else 'FAIL ') + name)
    for line in why[:12]:
        print('     | ' + line[:300])


def short(words):
    out = []
    for w in words:
        w = w.decode('utf-8', 'backslashreplace') if isinstance(w, bytes) else w
        w = ''.join(c if c.isprintable() else repr(c)[1:-1] for c in w)
        out.append(w if len(w) < 80 else w[:40] + '...(%d)' % len(w))
    return ' '.join(out[:16])


class Case:
    """words: behind --config.  has: what the line has to speak of.  lines: of stderr, at most"""
    def __init__(self, *words, rc=(64,), has='', lines=1, stdin=b'', **more):
        self.words, self.rc, self.has, self.lines = list(words), rc if isinstance(rc, tuple) else (rc,), has, lines
        self.stdin, self.more = stdin, more

    def wrong(self):
        """What is wrong with the answer; '' if nothing is."""
        rc, out, err = run(self.words, self.stdin, **self.more)
        return ', '.join(self.faults(rc, out, err))

    def faults(self, rc, out, err):
        lines = err.split('\n')
        if rc not in self.rc:
            yield 'exit status %d, not %s: %s' % (rc, '/'.join(map(str, self.rc)), (err or out)[:150])
        if out:
            yield 'on stdout: %r' % out[:100]
        if not err.endswith('\n') or not 1 <= len(lines) - 1 <= self.lines:
            yield '%d lines: %r' % (len(lines) - 1, err[:200])
        if any(not l.startswith('ipsecpol: ') for l in lines[:-1]):
            yield 'begins with something else: %r' % err[:100]
        if any(not c.isprintable() for l in lines for c in l):
            yield 'not printable: %r' % err[:200]
        if len(err) > 1000:
            yield 'a message of %d bytes: %r' % (len(err), err[:100])
        if self.has not in err:
            yield 'nothing of %r: %r' % (self.has, err[:200])
        if SECRET in err + out:
            yield 'the secret: %r' % err[:200]


pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1)


def group(name, cases):
    """All of them, and then nothing has changed."""
    global before
    why = ['%s: %s' % (short(c.words), w) for c, w in zip(cases, pool.map(Case.wrong, cases)) if w]
    after = state()
    for k in after:
        if after[k] != before[k]:
            why.append('%s has changed' % k)
            why += sorted(set(after[k].split('\n')) ^ set(before[k].split('\n')))[:8]
    before = after
    say(not why and bool(cases), '%s: %d cases' % (name, len(cases)), why)


# ---- the commands, out of their help ----

class Tag:
    def __init__(self, name, alternative, optional, repeatable, flag):
        self.name, self.alternative, self.optional, self.repeatable, self.flag = name, alternative, optional, repeatable, flag
        self.type = ''

    def good(self):
        t = self.type
        m = re.fullmatch(r'(\d+)\.\.(\d+)', t)
        if m:
            return m[1]
        for name, value in (('{GUID}', '{12345678-1234-1234-1234-123456789abc}'), ('ADDRESS', '10.1.2.3'), ('MASK', '32'),
                            ('PORT', '0'), ('ANY|ICMP', 'TCP'), ('"CA', 'CN=x'), ('TIME', '5min')):
            if t.startswith(name):
                return value
        if 'OFFER' in t:
            return '3DES-SHA1-2' if self.name.startswith('mm') else 'ESP[3DES,SHA1]'
        if t == 'TEXT':
            return SECRET if self.name == 'psk' else '/nonexistent/x' if self.name == 'file' else 'no such'
        return t.split('|')[0]

    def bad(self):
        t, junk = self.type, ['a\x01b', 'a\nb', 'a\x1b[31mb', 'a\x7fb', b'\xff\xfe', b'\xc0\xaf', b'\xed\xa0\x80', LONG]
        m = re.fullmatch(r'(\d+)\.\.(\d+)', t)
        words = {'TEXT': [] if self.name == 'description' else [''],
                 'yes|no': ['', 'maybe', '1', 'yess', 'yesno', '-1', 'yes no'],
                 'MASK': ['', '33', '129', '-1', '255.0.255.0', '255.255.255.256', 'ffffff00', '/24', '24 ', '99999999999999999999'],
                 'PORT': ['', '65536', '-1', 'http', '80-90', '0x50', ' 80', '99999999999999999999'],
                 'TIME': ['', '0s', '-1s', '5', 's', '5w', '367d', '1.5h', '99999999999999999999s']}
        if t in words:
            return words[t] + junk
        if m:
            low = int(m[1])
            return ['', '-1', 'many', '5x', '1.5', '0x10', ' 1', '99999999999999999999', '18446744073709551617',
                    str(int(m[2]) + 1)] + ([str(low - 1)] if low else []) + junk
        if t.startswith('{GUID}'):
            return ['', 'x', '{}', '{12345678-1234-1234-1234-123456789ab}', '{12345678-1234-1234-1234-123456789abg}', '-1',
                    '{12345678-1234-1234-1234-123456789abc}x', '99999999999999999999'] + (['0'] if 'NUMBER' in t else ['1']) + junk
        if t.startswith('ADDRESS'):
            return ['', '300.1.1.1', '1.2.3', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/-1', '10.0.0.9-10.0.0.1', '::1/129', '1::2::3', 'a b',
                    '-x', '.', 'a..b', '1.2.3.4-::1', 'x' * 64, '.'.join(['x' * 60] * 5), 'me any', '1.2.3.4:80'] + \
                (['me', 'any', '10.0.0.0/8', '10.0.0.1-10.0.0.2', 'GATEWAY'] if 'none' in t else ['none ']) + junk
        if t.startswith('ANY|ICMP'):
            return ['', '256', '-1', 'SCTPX', 'TCP,UDP', '6 ', '0x6', '99999999999999999999'] + junk
        if 'OFFER' in t and self.name.startswith('mm'):
            return ['', ' ', 'nonsense', '3DES', '3DES-SHA1', '3DES-SHA1-4', '3DES-SHA1-0', 'AES-SHA1-2', '3DES-SHA256-2', '3DES-None-2',
                    'None-SHA1-2', '3DES-SHA1-2-2', '3DES-SHA1-2,3DES-MD5-2', ' '.join(['3DES-SHA1-2'] * 300)] + junk
        if 'OFFER' in t:
            return ['', ' ', 'nonsense', 'ESP', 'ESP[]', 'ESP[3DES]', 'ESP[None,None]', 'ESP[AES,SHA1]', 'AH[None]', 'AH[SHA1,MD5]',
                    'ESP[3DES,SHA1', 'ESP[3DES,SHA1]:', 'ESP[3DES,SHA1]:k/s', 'ESP[3DES,SHA1]:0k/1s', 'ESP[3DES,SHA1]:-1k', 'ESP[3DES,SHA1]:1k/1k',
                    'ESP[3DES,SHA1]:4294967296k', 'AH[SHA1]+AH[SHA1]', 'AH[SHA1]+', 'ESP[DES,MD5]+ESP[DES,MD5]', ' '.join(['AH[SHA1]'] * 300)] + junk
        if t.startswith('"CA'):
            return ['', ' ', 'CN=x certmap:maybe', 'certmap:yes', 'certmap:yes excludecaname:no', 'CN=x excludecaname:'] + junk
        if '|' in t:
            choices = t.lower().split('|')
            starts = {c[:n] for c in choices for n in range(1, len(c))} - set(choices)
            return ['', 'nonsense', '-1', '0', t] + sorted(s for s in starts if sum(c.startswith(s) for c in choices) > 1) + junk
        raise SystemExit('a kind of value that this test does not know: %r' % t)


class Command:
    def __init__(self, context, name):
        self.context, self.name, self.words = context, name, [context] + name.split()
        rc, out, err = run(self.words + ['?'])
        usage = re.search(r'\AUsage: %s %s(.*?)\n\n' % (context, re.escape(name)), out, re.S)
        if rc or not usage:
            raise SystemExit('%s %s ?: %r %r' % (context, name, out[:200], err))
        self.tags, alternative = [], False
        for w in usage[1].split():
            if w == '|':
                alternative = True
                continue
            m = re.fullmatch(r'(\[?)([a-z0-9]+)(=?)\]?(\.\.\.)?', w)
            self.tags.append(Tag(m[2], alternative, m[1] == '[', m[4] is not None, not m[3]))
            alternative = False
        for t in self.tags:
            if not t.flag:
                t.type = re.search(r'^  %s +\S.*\n {10,}(\S.*)$' % t.name, out, re.M)[1]

    def base(self, but=None):
        """Required tags with values that the grammar takes.  but: a tag that is not among them."""
        out = []
        for i, t in enumerate(self.tags):
            if but and (t is but or but.alternative and i == 0):
                continue
            if not t.optional and not t.alternative:
                out.append('%s=%s' % (t.name, t.good()))
        return out

    def case(self, args, **more):
        return Case(*self.words + args, **more)

    def missing(self):
        for i, t in enumerate(self.tags):
            if not t.optional and not t.alternative:
                yield self.case(self.base(t), has="'%s'" % t.name)

    def unknown(self):
        base = self.base()
        yield self.case(base + ['nosuchtag=1'], has='nosuchtag')
        yield self.case(base + ['=1'])
        yield self.case(base + ['psk2=' + SECRET])
        yield self.case(base + [LONG + '=1'])
        yield self.case(base + [b'\xff\xfe=1'])
        yield self.case(base + ['a\x1b[31mb=1'])
        if 'psk' not in (t.name for t in self.tags):
            yield self.case(base + ['psk=' + SECRET])
        names = [t.name for t in self.tags]
        starts = {n[:k] for n in names for k in range(1, len(n))} - set(names)
        for s in sorted(starts):
            if sum(n.startswith(s) for n in names) > 1:
                yield self.case(base + ['%s=%s' % (s, SECRET)], has=' or ')

    def doubled(self):
        for t in self.tags:
            one = t.name if t.flag else '%s=%s' % (t.name, t.good())
            if not t.repeatable:
                yield self.case(self.base(t) + [one, one], has="'%s' is given twice" % t.name)
            if t.flag:
                yield self.case(self.base(t) + [t.name + '=yes'], has="'%s'" % t.name)
            if t.alternative:
                yield self.case(['%s=%s' % (self.tags[0].name, self.tags[0].good())] + self.base(t) + [one], has='exclude each other')

    def values(self):
        for t in self.tags:
            for v in t.bad() if not t.flag else []:
                word = os.fsencode(t.name) + b'=' + v if isinstance(v, bytes) else '%s=%s' % (t.name, v)
                # Values of settings are looked at when it is known which.
                yield self.case(self.base(t) + [word], rc=(64, 1) if t.name == 'value' else 64, has="'%s'" % t.name)

    def places(self):
        base = self.base()
        # In a list every word is told that is none of it; a key may only have strayed where there are keys.
        stray = SECRET if 'psk' in (t.name for t in self.tags) else 'stray'
        if base:
            yield self.case(base + [stray], rc=(64, 1))
        positional = [t for t in self.tags if not t.flag and not t.alternative]
        if not positional or not positional[-1].repeatable:
            yield self.case([t.good() for t in positional] + [stray], rc=(64, 1))
        yield self.case(['x'] * N_WORDS)
        yield self.case([SECRET] * N_WORDS)
        if stray == SECRET:
            yield self.case(base + ['psk=my', SECRET], has="'psk='")

    def cases(self):
        for kind in (self.missing, self.unknown, self.doubled, self.values, self.places):
            yield from kind()


def contexts():
    for context in ('static', 'dynamic'):
        out = run([context, '?'])[1]
        for name in re.findall(r'^  ([a-z]+(?: [a-z]+)?)  +\S', out, re.M):
            yield Command(context, name)


# ---- by hand: what fits in itself, and not to the rest ----

def grammar():
    out = []
    for w in ([], ['add'], ['nonsense'], [''], ['add', ''], ['add', 'nonsense'], ['s', 'policy', 'name=x'], ['add', 'filt', 'x'], ['add', LONG],
              [LONG], ['\x1b[31m'], [b'\xff'], ['add', 'psk=' + SECRET], ['psk=' + SECRET], ['nonsense', '?'], ['?', 'nonsense'], ['add', 'nonsense', '?']):
        out += [Case(c, *w) for c in ('static', 'dynamic') if w]
    for s in ('nonsense', '', 'domain:', 'locals', LONG, '\x1b[31m', b'\xff'):
        out += [Case('--store', s, 'static', 'show', 'all'), Case('exec', '--store', s, '-')]
    for d in ('nonsense', '', 'http://x', 'ldif:', 'ldif:/nonexistent', 'ldap://127.0.0.1:1', 'ldapi:///nonexistent', 'ldap://[', LONG):
        out.append(Case('--store', 'domain', '--directory', d, 'static', 'show', 'all', rc=1))
        out.append(Case('show', 'rsop', '--directory', d, rc=1))
    out.append(Case('--store', 'domain', '--directory', 'ldif:' + LDIF, 'static', 'add', 'policy', 'name=x', rc=1))
    out += [Case('nonsense'), Case(''), Case(LONG), Case('\x1b[31m'), Case(b'\xff'), Case('status', 'x'), Case('refresh', 'x'), Case('stop', 'x'),
            Case('show', 'peers', 'x'), Case('show', 'peers', '--directory', 'ldif:' + LDIF), Case('show', 'peers', '--facts', '/nonexistent'),
            Case('show', 'spd', '--computer', 'X'), Case('show', 'ike', 'x'), Case('show', 'ike', '--all'), Case('show', 'peers', rc=1, has='root', **NOBODY),
            Case('show'), Case('show', 'nonsense'), Case('show', LONG), Case('show', '\x1b[31m'), Case('show', 'policy', 'x'), Case('plan', 'x'), Case('apply', 'x')]
    for o in ('--nonsense', '-x', '--config', '--st', '--json=x', '--atomic=1', '--' + LONG, '--\x1b[31m'):
        out += [Case(o), Case('status', o), Case('exec', o)]
    out += [Case('show', 'rsop', '--facts', '/nonexistent', '--directory', 'ldif:' + LDIF, rc=(1, 64)),
            Case('show', 'ruleset', '--facts', '/nonexistent', '--directory', 'ldif:' + LDIF, rc=1),
            Case('show', 'spd', '--facts', '/nonexistent', '--directory', 'ldif:' + LDIF, rc=1),
            Case('show', 'ike', '--computer', 'NOBODY', '--directory', 'ldif:' + LDIF, rc=1),
            Case('show', 'rsop', '--computer', 'NOBODY', '--directory', 'ldif:' + LDIF, rc=1)]
    for c in ('/nonexistent', T, '/dev/null/x', LDIF):
        out.append(Case('--config', c, 'static', 'show', 'all', rc=1))
    out += [Case('static', 'add', 'policy', 'name=x', rc=1, **NOBODY), Case('static', 'show', 'all', rc=1, **NOBODY),
            Case('dynamic', 'set', 'config', 'ikelogging', '1', rc=1, **NOBODY), Case('reg', 'query', rc=1, **NOBODY),
            Case('reg', 'query', '--secrets', rc=(1, 64), **NOBODY), Case('reg', 'import', T + '/twice.ldif', rc=(1, 64), **NOBODY)]
    return out


def contradictions():
    lines = ['static add filter l1 me any protocol=ICMP dstport=1', 'static add filter l1 me any srcport=1', 'static add filter l1 me any protocol=any dstport=80',
             'static add filter l1 me any protocol=47 srcport=5', 'static add filter l1 me 10.0.0.1 srcmask=24', 'static add filter l1 any 10.0.0.1 srcmask=8',
             'static add filter l1 me 10.0.0.1-10.0.0.9 dstmask=24', 'static add filter l1 me 10.0.0.0/8 dstmask=8', 'static add filter l1 me dns dstmask=8',
             'static add filter l1 me me', 'dynamic add rule me me actionin=block actionout=block', 'static add filter l1 any dns', 'static add filter l1 dns wins', 'static add filter l1 10.0.0.1 gateway', 'static add filter l1 10.0.0.1 fd00::1',
             'static add filter l1 me4 fd00::1', 'static add filter l1 me fd00::1 dstmask=255.0.0.0', 'static add filter l1 me fd00::1 dstmask=129',
             'static add filteraction x action=block soft=yes', 'static add filteraction x action=permit inpass=yes', 'static add filteraction x action=block qmpfs=yes',
             'static set filteraction a2 action=permit soft=yes', 'static set store location=local domain=corp.example', 'static set store location=persistent domain=x',
             'static show policy name=p1 all', 'static delete policy name=p2 all', 'static delete rule name=r2 all policy=p2', 'static show rule id=1 default policy=p2',
             'static set rule name=r2 id=1 policy=p2', 'static show filterlist name=l1 rule=r1',
             'dynamic add rule me any', 'dynamic add rule me any mm', 'dynamic add rule me any actionin=block', 'dynamic add rule me 10.0.0.1 mmpolicy=mm actionout=permit',
             'dynamic add rule me any protocol=ICMP dstport=1 actionin=block actionout=block', 'dynamic set rule me any dstport=1 actionin=block',
             'dynamic delete rule me any dstport=1', 'dynamic delete rule me any dstmask=24', 'dynamic show qmfilter srcmask=24', 'dynamic show rule dstmask=24',
             'dynamic set config ikelogging 1 until=5min', 'dynamic set config until=5min',
             'dynamic show mmsas protocol=tcp', 'dynamic show qmsas dstport=80', 'dynamic show mmsas all yes yes yes', 'dynamic show stats type=kernel']
    return [Case(*shlex.split(l)) for l in lines]


def objects():
    """What the grammar takes and the store does not."""
    out, guid = [], '{12345678-1234-1234-1234-123456789abc}'
    for kind in ('policy', 'filterlist', 'filteraction'):
        out += [Case('static', 'set', kind, 'name=none', 'newname=y', rc=1, has="'none'"), Case('static', 'delete', kind, 'name=none', rc=1, has="'none'"),
                Case('static', 'set', kind, 'guid=' + guid, 'newname=y', rc=1, has='12345678'), Case('static', 'show', kind, 'name=none', rc=1, has="'none'"),
                Case('static', 'add', kind, 'name=twice', rc=1, has="'twice'"), Case('static', 'add', kind, 'name=TWICE', rc=1, has="'"),
                Case('static', 'set', kind, 'name=twice', 'description=y', rc=1, has="'twice'"), Case('static', 'delete', kind, 'name=twice', rc=1, has="'twice'")]
    lines = ['static delete policy p1', 'static delete policy all', 'static delete all', 'static delete filterlist l1', 'static delete filterlist all',
             'static delete filteraction a1', 'static delete filteraction all', 'static set policy p1 newname=p2', 'static set filterlist l1 newname=l2',
             'static set filteraction a1 newname=a2', 'static set rule r2 p2 newname=r3', 'static set policy none assign=yes', 'static set policy twice assign=yes',
             'static set policy p1 assign=yes gponame=x', 'static set policy p1 assign=no gponame=x',
             'static delete filter none me any', 'static delete filter l1 me 10.99.99.99', 'static delete filter twice me any', 'static add filter twice me any',
             'static add filter l1 any me protocol=TCP dstport=4101', 'static add filter l1 me no.such.host.invalid',
             'static add rule r2 p2 l2 a2', 'static add rule x none l2 a2', 'static add rule x p2 none a2', 'static add rule x p2 l2 none', 'static add rule x twice l2 a2',
             'static add rule x p2 twice a2', 'static add rule x p2 l2 twice', 'static add rule x p2 l2 a2 tunnel=no.such.host.invalid',
             'static add rule x p2 l2 a2 tunnel=10.1.2.3', 'static add rule x p2 l2 pass tunnel=10.1.2.3', 'static add rule x p2 l2 a2 psk=%s psk=%s' % (SECRET, SECRET),
             'static set rule none p2 newname=y', 'static set rule r2 none newname=y', 'static set rule id=99 policy=p2 newname=y', 'static set rule id=%s policy=p2 newname=y' % guid,
             'static set rule r2 p2 filterlist=none', 'static set rule r2 p2 filteraction=none', 'static set rule r3 p2 filterlist=twice', 'static set rule r2 p2 filteraction=twice',
             'static delete rule none p2', 'static delete rule r2 none', 'static delete rule id=99 policy=p2', 'static show rule none p2', 'static show rule r2 none', 'static show rule id=99 policy=p2',
             'static set defaultrule none', 'static set defaultrule twice activate=no', 'static show filterlist rule=none', 'static show filteraction rule=none',
             'static set filteraction a1 soft=yes', 'static set filteraction a1 inpass=yes', 'static set filteraction a1 qmpfs=yes', 'static show gpoassignedpolicy none',
             '--store domain --directory ldif:%s static set policy x assign=yes gponame=none' % LDIF,
             '--store persistent static delete policy p1', '--store persistent static delete all', '--store persistent static restorepolicyexamples win2003',
             '--store persistent static show policy p2']
    # Nothing of a name may reach a terminal as a command to it, or turn a line around.
    for c in ('\u202e', '\u0085', '\u009b', '\ufeff', '\u2028'):
        out += [Case('static', 'add', 'policy', 'name=a%sb' % c, rc=(1, 64)), Case('static', 'delete', 'policy', 'name=a%sb' % c, rc=(1, 64))]
    return out + [Case(*shlex.split(l), rc=1) for l in lines]


def files():
    out = []
    bad = {'empty': b'', 'binary': bytes(range(256)) * 20, 'nul': b'\0' * 1000, 'words': b'once upon a time\n', 'odd16': b'\xff\xfea', 'lone16': b'\xff\xfe\x00\xd8a\0',
           'reg1': b'Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\r\n',
           'reg2': b'REGEDIT4\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Elsewhere]\r\n"a"=dword:1\r\n', 'ldif1': b'dn: CN=x\nnonsense\n', 'ldif2': b'dn: CN=x\nobjectClass:: !!\n\n'}
    for name, content in bad.items():
        with open('%s/%s.bad' % (T, name), 'wb') as f:
            f.write(content)
    cut = {}
    for kind in ('reg', 'reg-utf8', 'ldif', 'script'):
        full = '%s/full.%s' % (T, kind)
        subprocess.run([TOOL] + CONF + ['static', 'exportpolicy', full, 'format=' + kind], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not os.path.exists(full):    # objects with names that are there twice cannot be said in a script
            continue
        with open(full, 'rb') as f:
            b = f.read()
        wide = 2 if kind == 'reg' else 1
        text = b.decode('utf-16' if wide == 2 else 'utf-8-sig')
        # Where a rule's, a list's or an action's data stands: what is cut off there is damage, and no shorter file.
        at = [m.start(1) for m in re.finditer(r'ipsecData(?:"=hex:|:: )(.{30,})' if kind != 'script' else r'(add rule)', text, re.I)]
        at = (at[len(at) // 2] + 12) * wide
        bad16 = b'\0\xd8a\0' if wide == 2 else b'\xff\xff'
        head = 2 if wide == 2 else len(b) - len(text.encode())
        at += head
        for i, c in enumerate((b[:at], b[:at] + b[at + 8 * wide:], b[:at] + bad16 + b[at + len(bad16):])):
            cut['%s.%d' % (kind, i)] = c
    for name, content in cut.items():
        with open('%s/cut.%s' % (T, name), 'wb') as f:
            f.write(content)
    names = ['/nonexistent', '/nonexistent/x', T, '/dev/null/x', LDIF + 'x'] + ['%s/%s.bad' % (T, n) for n in bad] + ['%s/cut.%s' % (T, n) for n in cut]
    for n in names:
        for more in ([], ['format=reg'], ['format=ldif'], ['format=script']):
            out.append(Case('static', 'importpolicy', n, *more, rc=64 if 'format=script' in more else 1))
        out.append(Case('reg', 'import', n, rc=1))
    for n in ('/nonexistent/x.reg', '/nonexistent/x.ldif', '/nonexistent/x.ipsec', '/dev/null/x.reg', '/proc/x.reg', T):
        out += [Case('static', 'exportpolicy', n, 'format=reg', rc=1), Case('reg', 'export', n, rc=1)]
    out += [Case('static', 'exportpolicy', T + '/x.reg', 'assignments=yes', rc=(1, 64)),
            Case('static', 'exportpolicy', T + '/x.txt', 'format=script', rc=1, has='twice'),
            Case('--store', 'domain', '--directory', 'nonsense', 'static', 'exportpolicy', T + '/x.reg', rc=1)]
    for w in ([], ['nonsense'], ['query', 'x', 'y'], ['query', '--nonsense'], ['export'], ['export', 'a', 'b', 'c'], ['import'], ['import', 'a', 'b'], ['import', '--utf8', 'a'],
              ['query', '--utf8'], ['export', '--json', 'x'], ['export', '--secrets', 'x'], [LONG], ['\x1b[31m']):
        out.append(Case('reg', *w))
    for k in ('nope', 'HKCU\\x', 'HKLM\\nope', '\\', 'a\x1b[31mb', 'x\\' * 5000, LONG):
        out += [Case('reg', 'query', k, rc=1), Case('reg', 'export', T + '/x.reg', k, rc=1)]
    return out


def scripts():
    """exec: one line about the line, and one that nothing was written."""
    out = []
    texts = {'unclosed': b'static add policy name="x\n', 'long': b'static add policy name=' + b'x' * 70000 + b'\n', 'nul': b'static add\0 policy name=x\n',
             'manywords': b'static ' + b'x ' * 600, 'binary': bytes(range(128, 256)) * 50, 'utf8': b'static add policy name=\xff\n', 'root': b'add policy name=x\n',
             'popd': b'popd\n', 'pushd': b'pushd nowhere\n', 'deep': b'pushd ipsec static\n' * 17, 'netsh': b'netsh firewall add x\n', 'plain': b'status\n',
             'utf16': 'static add policy name="x\r\n'.encode('utf-16'), 'utf16be': b'\xfe\xff' + 'static show all\r\n'.encode('utf-16-be'), 'utf16odd': b'\xff\xfes\0t',
             'utf16lone': b'\xff\xfe\x00\xd8s\0', 'secret': b'static add rule x p2 l2 a2 psk=my %s\n' % SECRET.encode(), 'secret2': b'static psk=%s\n' % SECRET.encode(),
             'secret3': b'static add rule x p2 l2 psk="%s\n' % SECRET.encode(), 'control': b'static add policy name=x\x1b[31m\n', 'vertical': b'static\x0badd policy name=x\n'}
    for name, text in texts.items():
        path = '%s/%s.script' % (T, name)
        with open(path, 'wb') as f:
            f.write(text)
        for o in ([], ['--atomic'], ['--keep-going']):
            keep = len(text.split(b'\n')) + 1 if o == ['--keep-going'] else 2
            out.append(Case('exec', *o, path, rc=1, lines=keep, has=path))
        out.append(Case('exec', '-', stdin=text, rc=1, lines=2))
    for n in ('/nonexistent', T, '', '/dev/null/x', LONG):
        out.append(Case('exec', n, rc=1))
    out += [Case('exec'), Case('exec', 'a', 'b'), Case('exec', '--atomic', '--keep-going', '-')]
    # All or nothing: a good line, and then one that cannot be had back or that fails.
    for line in ('dynamic show rule', 'set store persistent', 'exportpolicy %s/x.reg' % T, 'add policy name=p1', 'add rule x none l2 a2', 'nonsense', 'importpolicy /nonexistent'):
        out.append(Case('exec', '--atomic', '-', stdin=('pushd ipsec static\nadd policy name=new\n%s\n' % line).encode(), rc=1, lines=2, has='standard input:3: '))
    out.append(Case('exec', '--atomic', '-', stdin=b'dynamic set config ikelogging 1\n', rc=1, lines=2))
    return out


def settings():
    bad = {'bootmode': ['open', '', 'state', 'block permit'],
           'bootexemptions': ['tcp:1', 'tcp:1:2', 'tcp:0:3389:sideways', 'tcp:0:65536:inbound', 'nonsense', 'tcp:-1:1:inbound', '256:inbound', 'tcp:0:1:inbound none', 'icmp:0:1:inbound',
                              ' '.join('tcp:0:%d:inbound' % p for p in range(1, 2000))],
           'ipsecexempt': ['4', '-1', 'x', '1 2', '0x1'], 'ipsecdiagnostics': ['8', '-1', 'all', '7 7'], 'ipsecdiagnosticsuntil': ['yesterday', '-1', '99999999999999999999'],
           'ipsecloginterval': ['59', '86401', '-1', '1h'], 'ikelogging': ['2', 'x', '-1'], 'strongcrlcheck': ['3', 'x', '-1']}
    out = []
    for p, values in bad.items():
        out += [Case('dynamic', 'set', 'config', p, rc=64, has="'value'"), Case('dynamic', 'set', 'config', 'property=' + p, 'value=', rc=64, has="'value'")]
        out += [Case('dynamic', 'set', 'config', 'property=' + p, 'value=' + v, rc=(1, 64), has="'") for v in values if v]
    help_text = run(['dynamic', 'set', 'config', '?'])[1]
    names = re.search(r'^  property.*\n +(\S+)$', help_text, re.M)[1].split('|')
    say(sorted(names) == sorted(bad), 'every property is tried', sorted(set(names) ^ set(bad)))
    return out + [Case('dynamic', 'set', 'config', 'ipsecdiagnostics', '0', 'until=5min', rc=1, has='until')]


def dynamic():
    lines = ['add mmpolicy mm', 'add qmpolicy qm', 'set mmpolicy none qmpermm=1', 'set qmpolicy none soft=yes', 'delete mmpolicy none', 'delete qmpolicy none',
             'add rule me 10.0.0.1 none none', 'add rule me 10.0.0.1 mm none', 'add rule me 10.0.0.1 none qm', 'add rule 10.9.1.1 me actionin=permit actionout=permit',
             'add rule me no.such.host.invalid actionin=block actionout=block',
             'set rule me 10.0.0.1 actionin=block', 'delete rule me 10.0.0.1', 'delete rule me 10.9.1.1', 'show drops',
             # Nobody negotiates here, and what is no address has no association.
             'show mmsas', 'show mmsas format=table', 'show qmsas all', 'show mmsas dstaddr=me', 'show mmsas srcaddr=dns', 'show qmsas dstaddr=gateway',
             'show qmsas dstaddr=no.such.host.invalid', 'add rule me 10.0.0.1 mm none psk=%s' % SECRET]
    return [Case('dynamic', *shlex.split(l), rc=1) for l in lines]


def no_daemon(commands):
    """What asks the service: one line that says that there is none."""
    # `stop` needs none: it removes the rules itself (test_boot).
    out = [Case('status', rc=1), Case('refresh', rc=1)] + [Case('show', w, rc=1) for w in ('rsop', 'spd', 'ike')]
    out += [Case('dynamic', 'show', w, rc=1, has='charon does not answer') for w in ('mmsas', 'qmsas')]
    for c in commands:
        # Settings are stored, associations charon's, and statistics the kernel's.
        if c.context == 'dynamic' and c.name not in ('set config', 'show config', 'show mmsas', 'show qmsas', 'show stats'):
            more = ['all'] if any(t.alternative and t.flag for t in c.tags) and c.base() else c.base()
            if c.name == 'add rule':
                more = more + ['actionin=block', 'actionout=block']
            out.append(c.case(more, rc=1, has='ipsecpold'))
    return out + dynamic()


def as_script(commands):
    """The same lines from a script: each is told with its number, and none does anything."""
    global before
    lines = []
    for c in commands:
        for case in c.cases():
            words = [w if isinstance(w, bytes) else os.fsencode(w) for w in case.words]
            # 1: looked at later than the grammar; help; what ends a line
            if case.rc != (64,) or b'\n' in b''.join(words) or case.words[-1] == '?':
                continue
            lines.append(b' '.join(b'"' + w.replace(b'"', b'\\"') + b'"' for w in words))
    path = T + '/all.script'
    with open(path, 'wb') as f:
        f.write(b'\n'.join(lines) + b'\n')
    rc, out, err = run(['exec', '--keep-going', path])
    os.unlink(path)
    said = err.split('\n')[:-1]
    why = []
    if rc != 1 or out:
        why.append('exit status %d, stdout %r' % (rc, out[:200]))
    if len(said) != len(lines) + 1:
        why.append('%d lines about %d' % (len(said), len(lines)))
    for i, (line, got) in enumerate(zip(lines, said)):
        if not got.startswith('ipsecpol: %s:%d: ' % (path, i + 1)) or SECRET in got or not got.isprintable():
            why.append('%s: %s' % (short([line]), got))
            break
    if said and said[-1] != 'ipsecpol: %d commands failed, nothing was written' % len(lines):
        why.append(said[-1])
    if state() != before:
        why.append('something has changed')
    say(not why, 'the same in a script: %d lines' % len(lines), why)


os.umask(0o077)
commands = list(contexts())
if WITH_DAEMON:
    say(len(commands) >= 51, 'the help tells of %d commands' % len(commands))
    # Files that the cases are about exist before the state is looked at.
    by_hand = [('the command line', grammar()), ('contradictions', contradictions()), ('objects', objects()), ('files', files()), ('scripts', scripts()),
               ('settings', settings()), ('the dynamic context', dynamic())]
    before = state()
    for c in commands:
        group('%s %s' % (c.context, c.name), list(c.cases()))
    for name, cases in by_hand:
        group(name, cases)
    as_script(commands)
else:
    before = state()
    group('without the service', no_daemon(commands))
    group('settings without the service', settings())
print('%d passed, %d failed' % (n_passed, n_failed))
PY
drive() {
	in_ns python3 "$t/driver.py" "$builddir/ipsecpol" "$t" "$t/corp.ldif" "$1" >"$t/driven" 2>&1
	grep -v ' passed, ' "$t/driven"
	p=$(sed -n 's/^\([0-9]*\) passed, .*/\1/p' "$t/driven") f=$(sed -n 's/.* passed, \([0-9]*\) failed$/\1/p' "$t/driven")
	[ -n "$f" ] || { fail "the driver ended early"; return; }
	passed=$((passed + p)) failed=$((failed + f))
}
drive daemon
check "the daemon is still there" is mode secure
check "a good command still works" cli static add policy name=good
stop
drive none
summary
