"""A charon that answers on the socket of its first argument what no real one does: names and numbers that
want to be obeyed by a terminal or to overflow, and with 'cut' or 'garbage' as its second one, half of a
message or none.  'none': no associations; 'installed': a child of which the kernel knows nothing."""
import os, socket, struct, sys

SECTION, END, VALUE, LIST, ITEM, LIST_END = range(1, 7)
EVIL = 'evil\x1b[31m\u202e\x07name'


def named(n):
    b = n if isinstance(n, bytes) else n.encode()
    return struct.pack('B', len(b)) + b


def message(d):
    out = b''
    for k, v in d.items():
        if isinstance(v, dict):
            out += bytes([SECTION]) + named(k) + message(v) + bytes([END])
        elif isinstance(v, list):
            out += bytes([LIST]) + named(k)
            for i in v:
                b = i.encode()
                out += bytes([ITEM]) + struct.pack('!H', len(b)) + b
            out += bytes([LIST_END])
        else:
            b = v if isinstance(v, bytes) else v.encode()
            out += bytes([VALUE]) + named(k) + struct.pack('!H', len(b)) + b
    return out


CHILD = {'name': 'q-0123456789ab', 'uniqueid': '1', 'reqid': '1761607696', 'state': 'INSTALLED', 'mode': 'TRANSPORT', 'protocol': 'ESP',
         'spi-in': 'c1000001', 'spi-out': 'c1000002', 'encr-alg': 'AES_CBC', 'encr-keysize': '128', 'integ-alg': 'HMAC_SHA1_96',
         'bytes-in': '1000', 'packets-in': '10', 'bytes-out': '2000', 'packets-out': '20', 'rekey-time': '3000', 'life-time': '3600',
         'install-time': '60', 'local-ts': ['10.9.0.1/32[tcp]'], 'remote-ts': ['10.9.0.2/32[tcp/7777]']}
SA = {'uniqueid': '1', 'version': '1', 'state': 'ESTABLISHED', 'local-host': '10.9.0.1', 'local-port': '500', 'local-id': '10.9.0.1',
      'remote-host': '10.9.0.2', 'remote-port': '500', 'remote-id': '10.9.0.2', 'initiator': 'yes', 'initiator-spi': '1' * 16,
      'responder-spi': '2' * 16, 'encr-alg': '3DES_CBC', 'integ-alg': 'HMAC_SHA1_96', 'dh-group': 'MODP_1024', 'established': '99999'}
WRONG = dict(SA, **{'remote-id': EVIL, 'state': EVIL, 'local-host': 'no address', 'remote-host': EVIL, 'encr-alg': b'\xff\xfe', 'established': '9' * 30,
                    'local-port': '-1', 'initiator-spi': '', 'child-sas': {EVIL: dict(CHILD, **{
                        'reqid': '99999999999999', 'spi-in': 'x', 'bytes-in': '18446744073709551616', 'local-ts': [EVIL], 'mode': '', 'name': EVIL}),
                        'text': 'no section'}})
mode = sys.argv[2] if len(sys.argv) > 2 else 'hostile'
if mode == 'installed':
    SAS = [{'ipsecpol-0123456789abcdef': dict(SA, **{'child-sas': {'q-1': CHILD}})}]
else:
    SAS = [] if mode == 'none' else [{'ipsecpol-' + EVIL: WRONG}, {'ipsecpol-plain': 'a value'}, {EVIL: SA}, {'ipsecpol-empty': {}}]
STREAMS = {'list-sas': ('list-sa', SAS),
           'list-conns': ('list-conn', [{'ipsecpol-' + EVIL: {'local-1': {'class': EVIL}}}, {'ipsecpol-x': 'a value'}])}
REPLIES = {'version': {'daemon': EVIL, 'version': EVIL}, 'stats': {'uptime': {'since': EVIL}, 'queues': {'high': '-5', 'low': '9' * 40}},
           'get-counters': {'counters': {'': {'invalid-spi': 'many', 'child-rekey': '7'}}}}


def packet(conn, kind, name, body):
    data = bytes([kind]) + (named(name) if name is not None else b'') + body
    data = struct.pack('!I', len(data)) + data
    if mode == 'cut' and kind == 7:
        conn.sendall(data[:len(data) // 2])
        sys.exit(0)
    conn.sendall(os.urandom(64) if mode == 'garbage' else data)


def exact(conn, n):
    data = b''
    while len(data) < n:
        more = conn.recv(n - len(data))
        if not more:
            return None
        data += more
    return data


def serve(conn):
    while True:
        head = exact(conn, 4)
        data = head and exact(conn, struct.unpack('!I', head)[0])
        if not data:
            return
        name = data[2:2 + data[1]].decode()
        if data[0] in (3, 4):
            packet(conn, 5, None, b'')
            continue
        event, sas = STREAMS.get(name, (None, []))
        for one in sas:
            packet(conn, 7, event, message(one))
        packet(conn, 1, None, message(REPLIES.get(name, {})))


os.path.exists(sys.argv[1]) and os.unlink(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(8)
while True:
    c, _ = listener.accept()
    if os.fork() == 0:
        try:
            serve(c)
        except (BrokenPipeError, ConnectionResetError):
            pass
        os._exit(0)
    c.close()
