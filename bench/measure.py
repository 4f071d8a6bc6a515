"""measure.py BUILD DIR SOURCE...: DIR/SOURCE.conf each; medians of ROUNDS runs."""
import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

build, top, sources = sys.argv[1], sys.argv[2], sys.argv[3:]
rounds = int(os.environ.get('ROUNDS', '15'))
env = dict(os.environ, LC_ALL='C.UTF-8')


def cli(source, *args):
    p = subprocess.run([build + '/ipsecpol', '--config', '%s/%s.conf' % (top, source), *args],
                       capture_output=True, text=True, env=env)
    if p.returncode not in (0, 2):
        sys.exit('%s: ipsecpol %s: %s' % (source, ' '.join(args), p.stderr.strip()))
    return p.stdout


def spent(f, *args):
    before = time.monotonic()
    r = f(*args)
    return (time.monotonic() - before) * 1000, r


def median(values):
    return round(statistics.median(values), 2)


def stages(source):
    """One foreground refresh that changes nothing, in milliseconds a stage."""
    cli(source, 'apply', '--json')
    runs = [json.loads(cli(source, 'apply', '--json'))['microseconds'] for _ in range(rounds)]
    return {k: median([r[k] / 1000 for r in runs]) for k in ('collect', 'render', 'kernel', 'cache')}


class Daemon:
    """ipsecpold, started; ready_ms is the time from exec to READY=1: cache enforced, read back."""

    def __init__(self, source):
        self.source = source
        path = '%s/%s.notify' % (top, source)
        if os.path.exists(path):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(path)
        s.settimeout(30)
        before = time.monotonic()
        self.p = subprocess.Popen([build + '/ipsecpold', '--config', '%s/%s.conf' % (top, source)],
                                  env=dict(env, NOTIFY_SOCKET=path), stderr=subprocess.DEVNULL)
        while b'READY=1' not in s.recv(4096):
            pass
        self.ready_ms = (time.monotonic() - before) * 1000
        s.close()

    def end(self, sig=signal.SIGTERM):
        self.p.send_signal(sig)
        self.p.wait()

    def memory_kib(self):
        text = open('/proc/%d/smaps_rollup' % self.p.pid).read()
        return {k: int(re.search(k + r':\s+(\d+)', text).group(1)) for k in ('Rss', 'Pss', 'Private_Dirty')}


def delete_table():
    subprocess.run(['nft', 'delete', 'table', 'inet', 'ipsecpol'], stderr=subprocess.DEVNULL)


def cold_start(source):
    times = []
    for _ in range(rounds):
        delete_table()
        d = Daemon(source)
        times.append(d.ready_ms)
        d.end()
    return median(times)


def worker(source, hints, memory=b''):
    """One refresh of the worker alone; its parts."""
    with open('%s/%s.hints' % (top, source), 'w+b') as f, open('%s/%s.memory' % (top, source), 'w+b') as m:
        f.write(hints)
        f.flush()
        m.write(memory)
        m.flush()
        out = subprocess.run([build + '/ipsecpol-worker', '--config', '%s/%s.conf' % (top, source),
                              '--hints-fd', str(f.fileno()), '--memory-fd', str(m.fileno())],
                             pass_fds=[f.fileno(), m.fileno()], capture_output=True, env=env).stdout
    parts, pos = {}, out.index(b'\n') + 1
    while out[pos:pos + 5] == b'part ':
        end = out.index(b'\n', pos)
        name, n = out[pos + 5:end].split()
        parts[name.decode()] = out[end + 1:end + 1 + int(n)]
        pos = end + 2 + int(n)
    return parts


def cost(parts):
    """Round trips after the bind beside the site ping (a file: questions), bytes with the bind, policy objects."""
    numbers = [int(n) for n in re.findall(rb'\d+', parts['cost'])]
    pings = sum(line.startswith(b'# search:') and b'NtVer' in line for line in parts['snapshot'].splitlines())
    return {'searches': searches(parts) if not numbers[2] else numbers[2] - pings,
            'bytes': numbers[3] + numbers[4], 'read': numbers[0], 'kept': numbers[1]}


def costs(source):
    """Of a cold refresh; with hints; with hints and memory, when nothing has changed."""
    cold = worker(source, b'')
    warm = worker(source, cold['hints'], cold['memory'])
    hints, memory = warm['hints'], warm.get('memory', cold['memory'])
    return {'cold': cost(cold), 'hints': cost(worker(source, hints)), 'unchanged': cost(worker(source, hints, memory))}


def searches(parts):
    """Beside the site ping."""
    return sum(line.startswith(b'# search:') and b'NtVer' not in line for line in parts['snapshot'].splitlines())


def measure(source):
    r = {'stages_ms': stages(source), 'cold_start_ms': cold_start(source)}
    d = Daemon(source)
    cli(source, 'refresh')      # waits for the one that the start began
    cli(source, 'refresh')
    r['refresh_ms'] = median([spent(cli, source, 'refresh')[0] for _ in range(rounds)])
    r['costs'] = costs(source)
    r['searches'] = {k: r['costs'][k]['searches'] for k in ('cold', 'unchanged')}
    time.sleep(1)
    r['idle_kib'] = d.memory_kib()
    d.end()
    delete_table()
    return r


def baseline():
    """What starting any program takes here."""
    return median([spent(subprocess.run, ['/bin/true'])[0] for _ in range(rounds)])


def main():
    result = {'date': time.strftime('%Y-%m-%d'), 'machine': '%d cores, %s' % (os.cpu_count(), platform.machine()),
              'kernel': platform.release(), 'rounds': rounds, 'true_ms': baseline(),
              'sources': {s: measure(s) for s in sources}}
    with open(build + '/bench.json', 'w') as f:
        json.dump(result, f, indent=1)
    print('%(date)s, %(machine)s, kernel %(kernel)s, medians of %(rounds)d; starting /bin/true takes %(true_ms)s ms' % result)
    print('%-7s %9s %8s %8s %8s | %12s %14s | %10s | %8s' % ('source', 'collect', 'render', 'kernel', 'cache',
          'refresh, all', 'cached start', 'idle RSS', 'searches'))
    for s, r in result['sources'].items():
        t = r['stages_ms']
        print('%-7s %6.2f ms %5.2f ms %5.2f ms %5.2f ms | %9.2f ms %11.2f ms | %6.2f MiB | %d, %d' % (s, t['collect'], t['render'],
              t['kernel'], t['cache'], r['refresh_ms'], r['cold_start_ms'], r['idle_kib']['Rss'] / 1024,
              r['searches']['cold'], r['searches']['unchanged']))
    print('\n%-7s %27s   %27s   %27s' % ('', 'cold', 'with hints', 'unchanged, from memory'))
    print('%-7s' % 'source' + '   %8s %8s %9s' % ('searches', 'bytes', 'objects') * 3)
    for s, r in result['sources'].items():
        print('%-7s' % s + ''.join('   %8d %8d %9d' % (c['searches'], c['bytes'], c['read']) for c in r['costs'].values()))
    print('objects: policy objects read; bytes: both ways, bind included\n\ncollect: bind, searches and assembling, without hints; refresh, all: `ipsecpol refresh` of the daemon, with hints,\n'
          'worker and command line included; cached start: from exec to enforced and read back; searches: after the bind beside the\n'
          'site ping, cold and unchanged')


main()
