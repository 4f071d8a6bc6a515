# Sourced, after slapd.sh: a throw-away Samba AD DC.  For use in mount, network and process
# namespaces that nobody else lives in, with an empty /run.
#   samba_init DIR    a seeded domain below DIR/dc; provisioned once, then unpacked from $builddir/samba-cache
#   samba_net         netns dc (10.77.0.1, and 10.77.0.2 for a DC that is none) joined to ours (eth0)
#   samba_start DIR | samba_stop DIR
#   samba_keytab DIR FILE      the keys of all accounts
#   samba_seed DIR COMMAND...  tests/lib/samba_seed.py
#   samba_client DIR  resolv.conf, hosts and KRB5_CONFIG of a member of the domain, for this mount namespace and shell
PATH=$PATH:/usr/sbin
samba_realm=CORP.EXAMPLE samba_domain=corp.example

# All paths are absolute: rewriting this file is what moving a domain takes.
samba_conf() {
	mkdir -p "$1/dc/etc" "$1/dc/run" "$1/dc/log" "$1/dc/cache"
	cat >"$1/dc/etc/smb.conf" <<-EOC
	[global]
	netbios name = DC1
	realm = $samba_realm
	workgroup = CORP
	server role = active directory domain controller
	server services = ldap cldap kdc dns rpc
	bind interfaces only = yes
	interfaces = lo 10.77.0.1
	dns forwarder =
	private dir = $1/dc/private
	state directory = $1/dc/state
	cache directory = $1/dc/cache
	lock directory = $1/dc
	binddns dir = $1/dc/bind-dns
	pid directory = $1/dc/run
	ncalrpc dir = $1/dc/run/ncalrpc
	ntp signd socket directory = $1/dc/run/ntp_signd
	usershare path = $1/dc/usershares
	log file = $1/dc/log/log.%m
	posix:eadb = $1/dc/eadb.tdb
	tls cafile = $1/tls/ca.pem
	tls certfile = $1/tls/server.pem
	tls keyfile = $1/tls/server.key
	[sysvol]
	path = $1/dc/state/sysvol
	read only = No
	[netlogon]
	path = $1/dc/state/sysvol/$samba_domain/scripts
	read only = No
	EOC
}

samba_seed() { samba_dir=$1; shift; /usr/bin/python3 "$srcdir/tests/lib/samba_seed.py" "$samba_dir" "$@"; }

samba_provision() {
	printf '[global]\n' >"$1/empty.conf"
	# Without a network: provisioning publishes whatever address it finds.
	unshare -n samba-tool domain provision -s "$1/empty.conf" --targetdir="$1/dc" --realm=$samba_realm --domain=CORP \
		--host-name=dc1 --host-ip=10.77.0.1 --adminpass=Passw0rd.1 --server-role=dc --dns-backend=SAMBA_INTERNAL \
		--option="dns forwarder=" --option="posix:eadb=$1/dc/eadb.tdb" >"$1/provision.log" 2>&1 </dev/null || return 1
	samba_conf "$1"
	# Gives the DC its ldap/ service principals.
	samba_spnupdate -s "$1/dc/etc/smb.conf" >>"$1/provision.log" 2>&1 && samba_seed "$1" seed >>"$1/provision.log" 2>&1
}

samba_init() {
	samba_cache=$builddir/samba-cache
	samba_key=$({ cat "$srcdir/tests/lib/samba_seed.py" "$srcdir/tests/lib/samba.sh"; samba --version; } | sha256sum | cut -c1-16)
	mkdir -p "$1/tls" "$samba_cache"
	slapd_cert "$1/tls" ca "/O=test/CN=Test CA"
	slapd_cert "$1/tls" server /O=test/CN=dc1.corp.example "subjectAltName=DNS:dc1.corp.example\nextendedKeyUsage=serverAuth\n"
	chmod 600 "$1/tls/server.key"
	if [ ! -s "$samba_cache/$samba_key.tar.zst" ]; then
		samba_provision "$1" || { tail -20 "$1/provision.log"; return 1; }
		rm -f "$samba_cache"/*.tar.zst
		tar -C "$1" --sparse --exclude='*/msg.*' --exclude=dc/run --exclude=dc/log -I 'zstd -q -3' \
			-cf "$samba_cache/$samba_key.tmp.$$" dc && mv "$samba_cache/$samba_key.tmp.$$" "$samba_cache/$samba_key.tar.zst"
	else
		tar -C "$1" -I zstd -xf "$samba_cache/$samba_key.tar.zst" || return 1
	fi
	samba_conf "$1"
}

samba_net() {
	ip link set lo up
	ip netns add dc && ip -n dc link set lo up
	ip link add eth0 type veth peer name eth0 netns dc
	ip -n dc addr add 10.77.0.1/24 dev eth0 && ip -n dc addr add 10.77.0.2/24 dev eth0 && ip -n dc link set eth0 up
	ip addr add "${1:-10.77.0.50}/24" dev eth0 && ip link set eth0 up
}

samba_start() {
	ip netns exec dc samba -F -M single -s "$1/dc/etc/smb.conf" --debug-stdout </dev/null >"$1/samba.out" 2>&1 &
	echo $! >"$1/samba.pid"
	samba_i=0
	until ldapsearch -x -H ldap://10.77.0.1 -o nettimeout=2 -b '' -s base 1.1 >/dev/null 2>&1; do
		kill -0 "$(cat "$1/samba.pid")" 2>/dev/null && [ $samba_i -lt 300 ] || { tail -20 "$1/samba.out"; return 1; }
		samba_i=$((samba_i + 1)); sleep 0.1
	done
}

samba_stop() {
	kill "$(cat "$1/samba.pid")" && wait "$(cat "$1/samba.pid")" 2>/dev/null
	rm -f "$1/samba.pid"
}

samba_keytab() { rm -f "$2"; samba-tool domain exportkeytab "$2" -s "$1/dc/etc/smb.conf" >/dev/null; }

samba_client() {
	mkdir -p "$1/client"
	printf 'search %s\nnameserver 10.77.0.1\noptions timeout:1 attempts:2\n' $samba_domain >"$1/client/resolv.conf"
	printf '127.0.0.1 localhost\n' >"$1/client/hosts"
	cat >"$1/client/krb5.conf" <<-EOC
	[libdefaults]
	default_realm = $samba_realm
	dns_lookup_kdc = true
	dns_lookup_realm = false
	rdns = false
	dns_canonicalize_hostname = false
	[domain_realm]
	.$samba_domain = $samba_realm
	EOC
	export KRB5_CONFIG="$1/client/krb5.conf"
	# systemd-resolved's file is below /run, which is empty here.
	samba_resolv=$(readlink -m /etc/resolv.conf)
	case $samba_resolv in
	/run/*) mkdir -p "$(dirname "$samba_resolv")"; : >"$samba_resolv" ;;
	esac
	mount --bind "$1/client/resolv.conf" "$samba_resolv" && mount --bind "$1/client/hosts" /etc/hosts
}
