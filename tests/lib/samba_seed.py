#!/usr/bin/python3
"""samba_seed.py DIR COMMAND: fills the domain below DIR/dc, or changes it (also while it runs).

    seed              everything below
    ipsec-acl on|off  whether computers may read the objects of CN=IP Security
    delete DN
    link DN GPLINK [GPOPTIONS]     GPLINK: "3:0 1:2" for GPO 3 and GPO 1, enforced; "" for none

    domain                 G1
      OU=Servers           G4, G2 enforced
        OU=Web             G6, G5, G3, G1 (link disabled), G8      HOST1 (in hosts, hosts in outer)
        OU=Blocked         blocks; G4                              HOST3 (in exempt)
        OU=Lower           G3 enforced                             HOST5 (in hosts)
      OU=Workstations                                              HOST2
      OU=Order             G1, G4                                  HOST4
      OU=BlockOnly         blocks, links nothing                   HOST6
      OU=Nested            G3                                      HOST7 (in hosts), HOST8
      OU=Wmi               G9                                      HOST9
    site Branch            G7 enforced     10.77.0.64/26; else Default-First-Site-Name 10.77.0.0/26

DNS also knows dc0.corp.example (10.77.0.2), and prefers it; DC1 has its service principals.
"""
import sys

from samba import ldb, sites, subnets
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.provision.sambadns import ARecord, SRVRecord
from samba.samdb import SamDB

DIR = sys.argv[1].rstrip('/')
DOM = 'corp.example'
APPLY = 'edacfd8f-ffb3-11d1-b41d-00a0c968f939'
POLICIES = {'request': '{72385230-70FA-11D1-864C-14A300000000}',
            'respond': '{72385236-70FA-11D1-864C-14A300000000}',
            'require': '{7238523C-70FA-11D1-864C-14A300000000}'}
CSE = '[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]'
FULL = ''.join('(A;CI;RPWPCCDCLCLORCWOWDSDDTSW;;;%s)' % w for w in ('DA', 'EA', 'SY'))
READ = '(A;CI;RPLCLORC;;;%s)'
ALLOW = '(OA;CI;CR;' + APPLY + ';;%s)'
DENY = '(OD;CI;CR;' + APPLY + ';;%s)'
NORMAL = READ % 'AU' + ALLOW % 'AU'

lp = LoadParm()
lp.load(DIR + '/dc/etc/smb.conf')
db = SamDB(url=DIR + '/dc/private/sam.ldb', session_info=system_session(), lp=lp)
B = str(db.domain_dn())
CFG = str(db.get_config_basedn())
SID = security.dom_sid(db.get_domain_sid())
IPS = 'CN=IP Security,CN=System,' + B


def gpo_dn(n):
    return 'CN={AAAAAAAA-0000-0000-0000-%012X},CN=Policies,CN=System,%s' % (n, B)


def descriptor(sddl):
    return ndr_pack(security.descriptor.from_sddl(sddl, SID))


def replace(dn, **attrs):
    m = ldb.Message()
    m.dn = ldb.Dn(db, dn)
    for k, v in attrs.items():
        m[k] = ldb.MessageElement(v, ldb.FLAG_MOD_REPLACE, k)
    db.modify(m)


def gpo(n, name, aces, policy=None, **attrs):
    dn = gpo_dn(n)
    a = dict(dn=dn, objectClass='groupPolicyContainer', displayName=name, flags='0', versionNumber='1',
             gPCFunctionalityVersion='2', gPCFileSysPath='\\\\%s\\sysvol\\%s\\Policies\\%s' % (DOM, DOM, dn[3:41]),
             nTSecurityDescriptor=descriptor('O:DAG:DAD:P' + aces + FULL))
    if policy:
        a['gPCMachineExtensionNames'] = CSE
    a.update(attrs)
    db.add(a)
    if not policy:
        return
    for c in ('Machine', 'Microsoft', 'Windows'):
        dn = 'CN=%s,%s' % (c, dn)
        db.add(dict(dn=dn, objectClass='container'))
    db.add(dict(dn='CN=IPSEC,' + dn, objectClass='ipsecPolicy', ipsecName=name,
                ipsecOwnersReference='CN=ipsecPolicy%s,%s' % (POLICIES[policy], IPS)))


def link(dn, links, options=None):
    text = ''.join('[LDAP://%s;%d]' % (gpo_dn(n), o) for n, o in links)
    replace(dn, gPLink=[text] if text else [])
    if options is not None:
        replace(dn, gPOptions=str(options))


def ipsec_acl(on):
    r = db.search(IPS, ldb.SCOPE_BASE, attrs=['nTSecurityDescriptor'])[0]
    sddl = ndr_unpack(security.descriptor, r['nTSecurityDescriptor'][0]).as_sddl(SID).replace(READ % 'AU', '')
    if on:
        sddl = sddl.replace('D:AI', 'D:AI' + READ % 'AU', 1)
    replace(IPS, nTSecurityDescriptor=descriptor(sddl))


def hosts():
    for ou in ('Servers', 'Web,OU=Servers', 'Blocked,OU=Servers', 'Lower,OU=Servers', 'Workstations', 'Order',
               'BlockOnly', 'Nested', 'Wmi'):
        db.create_ou('OU=%s,%s' % (ou, B))
    for n, ou in enumerate(('Web,OU=Servers', 'Workstations', 'Blocked,OU=Servers', 'Order', 'Lower,OU=Servers',
                            'BlockOnly', 'Nested', 'Nested', 'Wmi'), 1):
        name = 'HOST%d' % n
        db.newcomputer(name, computerou='OU=' + ou,
                       service_principal_name_list=['HOST/%s.%s' % (name.lower(), DOM), 'HOST/' + name])
        db.setpassword('(sAMAccountName=%s$)' % name, 'M4chine-Pw-' + name, False)
    for g, members in (('hosts', ['HOST1$', 'HOST5$', 'HOST7$']), ('outer', ['ipsec-hosts']), ('exempt', ['HOST3$'])):
        db.newgroup('ipsec-' + g)
        db.add_remove_group_members('ipsec-' + g, members, add_members_operation=True)


def group(name):
    r = db.search(B, ldb.SCOPE_SUBTREE, '(sAMAccountName=ipsec-%s)' % name, ['objectSid'])[0]
    return str(ndr_unpack(security.dom_sid, r['objectSid'][0]))


def group_policy():
    gpo(1, 'domain default', NORMAL, 'respond')
    gpo(2, 'servers', NORMAL, 'request')
    gpo(3, 'for group outer', READ % 'AU' + ALLOW % group('outer'), 'require')
    gpo(4, 'not for exempt', DENY % group('exempt') + NORMAL, 'require')
    gpo(5, 'computer half disabled', NORMAL, 'require', flags='2')
    gpo(6, 'not readable', READ % group('exempt') + ALLOW % group('exempt'), 'require')
    gpo(7, 'branch site', NORMAL, 'request')
    gpo(8, 'nothing of IPsec', NORMAL)
    gpo(9, 'with a WMI filter', NORMAL, 'require',
        gPCWQLFilter='[%s;{BBBBBBBB-0000-0000-0000-000000000001};0]' % DOM)
    link(B, [(1, 0)])
    link('OU=Servers,' + B, [(4, 0), (2, 2)])
    link('OU=Web,OU=Servers,' + B, [(6, 0), (5, 0), (3, 0), (1, 1), (8, 0)])
    link('OU=Blocked,OU=Servers,' + B, [(4, 0)], 1)
    link('OU=Lower,OU=Servers,' + B, [(3, 2)])
    link('OU=Order,' + B, [(1, 0), (4, 0)])
    replace('OU=BlockOnly,' + B, gPOptions='1')
    link('OU=Nested,' + B, [(3, 0)])
    link('OU=Wmi,' + B, [(9, 0)])
    sites.create_site(db, db.get_config_basedn(), 'Branch')
    subnets.create_subnet(db, db.get_config_basedn(), '10.77.0.0/26', 'Default-First-Site-Name')
    subnets.create_subnet(db, db.get_config_basedn(), '10.77.0.64/26', 'Branch')
    link('CN=Branch,CN=Sites,' + CFG, [(7, 2)])


def dns():
    """dc0 in front of dc1 wherever dc1 is found as an LDAP server."""
    zones = {'DomainDnsZones': DOM, 'ForestDnsZones': '_msdcs.' + DOM}
    for part, zone in zones.items():
        top = 'DC=%s,CN=MicrosoftDNS,DC=%s,%s' % (zone, part, B)
        for r in db.search(top, ldb.SCOPE_ONELEVEL, '(|(dc=_ldap._tcp*)(dc=_ldap._tcp.*))', ['dnsRecord']):
            m = ldb.Message()
            m.dn = r.dn
            records = [ndr_pack(SRVRecord('dc0.' + DOM, 389, priority=0)), ndr_pack(SRVRecord('dc1.' + DOM, 389, priority=10))]
            m['d'] = ldb.MessageElement(records, ldb.FLAG_MOD_REPLACE, 'dnsRecord')
            db.modify(m)
    db.add(dict(dn='DC=dc0,DC=%s,CN=MicrosoftDNS,DC=DomainDnsZones,%s' % (DOM, B), objectClass='dnsNode',
                dnsRecord=ndr_pack(ARecord('10.77.0.2'))))
    m = ldb.Message()
    m.dn = ldb.Dn(db, 'CN=DC1,OU=Domain Controllers,' + B)
    m['s'] = ldb.MessageElement(['ldap/dc0.' + DOM], ldb.FLAG_MOD_ADD, 'servicePrincipalName')
    db.modify(m)


def seed():
    hosts()
    group_policy()
    ipsec_acl(True)
    dns()
    # A packed domain is used for longer than passwords last.
    db.set_maxPwdAge(-0x8000000000000000)


db.transaction_start()
try:
    command = sys.argv[2]
    if command == 'seed':
        seed()
    elif command == 'ipsec-acl':
        ipsec_acl(sys.argv[3] == 'on')
    elif command == 'delete':
        db.delete(sys.argv[3].replace('BASE', B))
    elif command == 'link':
        link(sys.argv[3].replace('BASE', B), [tuple(int(x) for x in l.split(':')) for l in sys.argv[4].split()],
             sys.argv[5] if len(sys.argv) > 5 else None)
    else:
        raise SystemExit(__doc__)
except BaseException:
    db.transaction_cancel()
    raise
db.transaction_commit()
