"""apply.py BUILD: what putting 100,000 filters into the kernel takes, beside `nft -f` with the equal table, and what
changing one of them takes; medians of ROUNDS runs, each in a network namespace of its own.  A table on stdout, JSON in
BUILD/bench-apply.json.  Root."""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

build = sys.argv[1]
rounds = int(os.environ.get('ROUNDS', '9'))
tool = build + '/tests/nfttool'
N = int(os.environ.get('FILTERS', '100000'))


def one_way():
    """Of this host to hosts, as block lists are: one element each."""
    yield 'rule block Big'
    for i in range(N):
        yield 'filter #%d me 11.%d.%d.%d/32 %s * %d' % (i + 1, i >> 14, i >> 6 & 255, (i & 63) * 4, ('udp', 'tcp')[i & 1], 1000 + i % 50)


def mirrored():
    """Between nets and hosts, both ways and at each hook: six elements each."""
    yield 'rule block Big'
    for i in range(N):
        yield 'filter #%d 10.%d.%d.0/24 11.%d.%d.%d/32 tcp * %d mirrored' % (i + 1, i >> 8 & 255, i & 255, 7 + (i >> 16), i >> 8 & 255, i & 255, 1000 + i % 50)


def changed(kind):
    """One way, with one more filter of this kind; None: none.  Of each kind there is another one, so that its rule does not go."""
    yield from one_way()
    for k, action in enumerate(('block', 'permit', 'require')):
        yield 'rule %s %s' % (action, action)
        yield 'filter #%d me 10.66.66.%d/32 tcp * 66' % (N + 10 + k, k + 1)
        if action == kind:
            yield 'filter #%d me 10.66.66.66/32 tcp * 66' % (N + 20)


def write(path, lines):
    with open(path, 'w') as f:
        f.write('\n'.join(lines) + '\n')
    return path


def run(*argv):
    """Seconds, peak kilobytes, output; of a process in a namespace of its own."""
    with tempfile.TemporaryFile('w+') as out:
        before = time.monotonic()
        p = subprocess.Popen(['unshare', '-n', *argv], stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(p.pid, 0)
        spent = time.monotonic() - before
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    if p.returncode:
        sys.exit('%s: %s' % (' '.join(argv), text))
    return spent, usage.ru_maxrss, text


def median(values):
    return round(statistics.median(values), 3)


def ours(policy):
    """Seconds from the policy in memory to the table proved, and megabytes: in all, and without the policy and its text."""
    text = run(tool, 'bench', policy)[2]
    step = {m[1]: (float(m[2]), int(m[3])) for m in re.finditer(r'^(\w+) +([\d.]+) s, +(\d+) MB', text, re.M)}
    return step['render'][0] + step['create'][0], step['create'][1], step['create'][1] - step['policy'][1]


def first(policy, text):
    a, b = [], []
    for _ in range(rounds):
        a.append(ours(policy))
        b.append(run('nft', '-f', text))
    r = {'seconds': median([x[0] for x in a]), 'MB': median([x[1] for x in a]), 'MB without the policy': median([x[2] for x in a]),
         'nft seconds': median([x[0] for x in b]), 'nft MB': median([x[1] / 1024 for x in b])}
    r['seconds ratio'] = round(r['seconds'] / r['nft seconds'], 2)
    r['MB ratio'] = round(r['MB'] / r['nft MB'], 2)
    return r


def flips(files):

    result = {}
    for a, b, there, back in ((None, 'block', 'added', 'removed'), ('block', 'permit', 'block to permit', 'permit to block'),
                              ('block', 'require', 'block to require', 'require to block')):
        text = run(tool, 'flip', files[a], files[b], str(rounds), '250')[2]
        for line, name in zip(text.splitlines(), (there, back)):
            m = re.search(r'render +([\d.]+) ms, apply +([\d.]+) ms.*all +([\d.]+) ms; changes (\d+) bytes (\d+)', line)
            result[name] = dict(zip(('render ms', 'apply ms', 'all ms', 'changes', 'bytes'), map(float, m.groups())))
    return result


def main():
    with tempfile.TemporaryDirectory() as d:
        result = {'filters': N, 'rounds': rounds, 'first': {}, 'change': {}}
        for name, lines in (('one way', one_way), ('mirrored', mirrored)):
            policy = write(d + '/policy', lines())
            with open(d + '/table', 'w') as f:
                subprocess.run([tool, 'write', policy], stdout=f, check=True)
            result['first'][name] = first(policy, d + '/table')
        files = {k: write('%s/%s' % (d, k), changed(k)) for k in (None, 'block', 'permit', 'require')}
        result['change'] = flips(files)
    with open(build + '/bench-apply.json', 'w') as f:
        json.dump(result, f, indent=1)
    print('%d filters, first into the kernel, beside nft -f' % N)
    for name, r in result['first'].items():
        print('  %-9s %7.3f s, %4.0f MB | nft %7.3f s, %4.0f MB | ratios %.2f, %.2f' % (name, r['seconds'], r['MB'], r['nft seconds'],
              r['nft MB'], r['seconds ratio'], r['MB ratio']))
    print('one of them changed')
    for name, r in result['change'].items():
        print('  %-17s render %6.2f ms, apply %6.2f ms, all %6.2f ms' % (name, r['render ms'], r['apply ms'], r['all ms']))


main()
