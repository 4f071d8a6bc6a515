"""start.py BUILD DIR: how long ipsecpold takes from exec to READY=1 (policy enforced and read back) with
10,000 filters, from its stores and from the boot image alone; and what it does when nothing happens."""
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

build, top = sys.argv[1], sys.argv[2]
rounds = int(os.environ.get('ROUNDS', '15'))
n_filters = 10000
idle_seconds = 20
env = dict(os.environ, LC_ALL='C.UTF-8')
conf = top + '/conf'


def prepare():
    os.makedirs(top + '/state', mode=0o700)
    os.makedirs(top + '/run')
    with open(conf, 'w') as f:
        f.write('[directory]\nuri = ldif:%s/none.ldif\ncomputer = BENCH\n[daemon]\nstate-dir = %s/state\nrun-dir = %s/run\n'
                'worker = %s/ipsecpol-worker\nworker-user = nobody\n' % (top, top, top, build))
    with open(top + '/none.ldif', 'w') as f:
        f.write('version: 1\n')


def store(n):
    """A local policy of n filters, of eight shapes."""
    shapes = ['srcaddr=10.%(b)d.%(c)d.%(d)d dstaddr=me', 'srcaddr=10.%(b)d.%(c)d.%(d)d dstaddr=me protocol=TCP',
              'srcaddr=10.%(b)d.%(c)d.%(d)d dstaddr=me protocol=TCP dstport=80', 'srcaddr=me dstaddr=11.%(b)d.%(c)d.%(d)d protocol=UDP',
              'srcaddr=me dstaddr=11.%(b)d.%(c)d.%(d)d protocol=UDP dstport=53', 'srcaddr=12.%(b)d.%(c)d.0 srcmask=24 dstaddr=me',
              'srcaddr=12.%(b)d.%(c)d.0 srcmask=24 dstaddr=me protocol=TCP', 'srcaddr=any dstaddr=13.%(b)d.%(c)d.%(d)d']
    lines = ['pushd ipsec static', 'add filteraction name=block action=block', 'add policy name=p activatedefaultrule=no']
    for i in range(n):
        at = {'b': i >> 16, 'c': i >> 8 & 255, 'd': i & 255}
        if i % 8 in (5, 6):
            at = {'b': i >> 8 & 255, 'c': i & 255, 'd': 0}
        lines.append('add filter filterlist=l mirrored=no ' + shapes[i % 8] % at)
    lines += ['add rule name=r policy=p filterlist=l filteraction=block', 'set policy name=p assign=yes']
    with open(top + '/script', 'w') as f:
        f.write('\n'.join(lines) + '\n')
    p = subprocess.run([build + '/ipsecpol', '--config', conf, 'exec', top + '/script'], capture_output=True, text=True, env=env)
    if p.returncode:
        sys.exit('start.py: ' + p.stderr)


class Service:
    """Runs inside `with`; ms is the time from exec to READY=1."""

    def __enter__(self):
        path = top + '/notify'
        if os.path.exists(path):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(path)
        s.settimeout(30)
        before = time.monotonic()
        self.p = subprocess.Popen([build + '/ipsecpold', '--config', conf], env=dict(env, NOTIFY_SOCKET=path), stderr=subprocess.DEVNULL)
        while b'READY=1' not in s.recv(4096):
            pass
        self.ms = (time.monotonic() - before) * 1000
        s.close()
        return self

    def __exit__(self, *_):
        self.p.send_signal(signal.SIGTERM)
        self.p.wait()

    def proc(self, name, what):
        with open('/proc/%d/%s' % (self.p.pid, name)) as f:
            return int(re.search(what + r':\s+(\d+)', f.read()).group(1))


def n_elements():
    out = subprocess.run(['nft', '-j', 'list', 'table', 'inet', 'ipsecpol'], capture_output=True, text=True).stdout
    return sum(len(o['map'].get('elem', [])) for o in json.loads(out)['nftables'] if 'map' in o)


def cold(before):
    times = []
    for _ in range(rounds):
        subprocess.run(['nft', 'delete', 'table', 'inet', 'ipsecpol'], stderr=subprocess.DEVNULL)
        before()
        with Service() as s:
            times.append(s.ms)
    return round(statistics.median(times), 1)


def image_alone():
    for name in ('store.db', 'registry.db'):
        for rest in ('', '-journal'):
            if os.path.exists(top + '/state/' + name + rest):
                os.unlink(top + '/state/' + name + rest)


def idle():
    with Service() as s:
        time.sleep(5)
        before = s.proc('status', 'voluntary_ctxt_switches')
        time.sleep(idle_seconds)
        return {'rss_mib': round(s.proc('smaps_rollup', 'Rss') / 1024, 2), 'private_mib': round(s.proc('smaps_rollup', 'Private_Dirty') / 1024, 2),
                'seconds': idle_seconds, 'wake_ups': s.proc('status', 'voluntary_ctxt_switches') - before}


prepare()
store(20)
result = {'idle': idle()}
shutil.rmtree(top + '/state')
os.mkdir(top + '/state', 0o700)
store(n_filters)
with Service():
    result['elements'] = n_elements()
result['filters'] = n_filters
result['stores_ms'] = cold(lambda: None)
result['image_ms'] = cold(image_alone)
print('cold start, %d filters (%d elements): %.1f ms from the stores, %.1f ms from the boot image alone' %
      (n_filters, result['elements'], result['stores_ms'], result['image_ms']))
print('idle, 20 filters: %(rss_mib).2f MiB resident, %(private_mib).2f MiB its own; %(wake_ups)d wake-ups in %(seconds)d s' % result['idle'])
if len(sys.argv) > 3:
    with open(sys.argv[3], 'w') as f:
        json.dump(result, f, indent=2)
