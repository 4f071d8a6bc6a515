# Sourced: a throw-away OpenLDAP server in a folder of its own.
#   slapd_init DIR LDIF...   certificates, configuration, database
#   slapd_start DIR          on ldap://$slapd_addr:389, ldaps, and ldapi (slapd_ldapi DIR)
#   slapd_stop DIR
# $slapd_extra: lines for the configuration's database, read by slapd_conf DIR; $slapd_overlay: at its end
slapd_addr=${slapd_addr:-10.77.0.70}
slapd_base=DC=corp,DC=example
PATH=$PATH:/usr/sbin

slapd_ldapi() { echo "ldapi://$(echo "$1/ldapi" | sed s,/,%2F,g)"; }

# slapd_cert DIR NAME SUBJECT EXTENSIONS: signed by DIR/ca.pem, or by itself without EXTENSIONS
slapd_cert() {
	openssl ecparam -name prime256v1 -genkey -noout -out "$1/$2.key" 2>/dev/null
	if [ -z "${4:-}" ]; then
		openssl req -x509 -new -key "$1/$2.key" -days 30 -subj "$3" -out "$1/$2.pem" \
			-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
		return
	fi
	printf '%b' "$4" >"$1/$2.ext"
	openssl req -new -key "$1/$2.key" -subj "$3" -out "$1/$2.csr" 2>/dev/null
	openssl x509 -req -in "$1/$2.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial -days 30 \
		-extfile "$1/$2.ext" -out "$1/$2.pem" 2>/dev/null
}

slapd_conf() {
	cat >"$1/slapd.conf" <<-EOC
	include /etc/ldap/schema/core.schema
	include ${slapd_schema:-$srcdir/schema/ipsecpol.schema}
	pidfile $1/slapd.pid
	argsfile $1/slapd.args
	modulepath /usr/lib/ldap
	moduleload back_mdb
	moduleload memberof
	moduleload syncprov
	TLSCACertificateFile $1/ca.pem
	TLSCertificateFile $1/server.pem
	TLSCertificateKeyFile $1/server.key
	TLSVerifyClient try
	security simple_bind=64
	localSSF 128
	sizelimit size.soft=600 size.hard=600 size.prtotal=${slapd_prtotal:-unlimited}
	authz-regexp gidNumber=0\\\\+uidNumber=0,cn=peercred,cn=external,cn=auth cn=admin,$slapd_base
	authz-regexp gidNumber=65534\\\\+uidNumber=65534,cn=peercred,cn=external,cn=auth CN=HOST1,OU=Web,OU=Servers,$slapd_base
	authz-regexp ^cn=host1.corp.example,o=test\$ CN=HOST1,OU=Web,OU=Servers,$slapd_base
	access to dn.base="" by * read
	access to attrs=userPassword by anonymous auth by * none
	database mdb
	suffix $slapd_base
	rootdn cn=admin,$slapd_base
	directory $1/db
	maxsize 268435456
	dbnosync
	index objectClass,cn,sAMAccountName,member eq
	${slapd_extra:-}
	access to * by users read by * auth
	overlay memberof
	memberof-group-oc group
	memberof-member-ad member
	${slapd_overlay:-}
	EOC
}

slapd_init() {
	slapd_dir=$1; shift
	mkdir -p "$slapd_dir/db"
	slapd_cert "$slapd_dir" ca "/O=test/CN=Test CA"
	slapd_cert "$slapd_dir" other "/O=test/CN=Another CA"
	slapd_cert "$slapd_dir" server /O=test/CN=ldap.corp.example \
		"subjectAltName=DNS:ldap.corp.example,IP:$slapd_addr\nextendedKeyUsage=serverAuth\n"
	slapd_cert "$slapd_dir" host1 /O=test/CN=host1.corp.example \
		"subjectAltName=DNS:host1.corp.example\nextendedKeyUsage=clientAuth\n"
	slapd_conf "$slapd_dir"
	for slapd_ldif; do slapadd -q -b $slapd_base -f "$slapd_dir/slapd.conf" -l "$slapd_ldif" || return 1; done
}

slapd_start() {
	slapd -f "$1/slapd.conf" -d 0 -h "ldap://$slapd_addr ldaps://$slapd_addr $(slapd_ldapi "$1")" \
		</dev/null >"$1/slapd.out" 2>&1 &
	echo $! >"$1/pid"
	slapd_i=0
	until ldapsearch -x -H "$(slapd_ldapi "$1")" -b '' -s base 1.1 >/dev/null 2>&1; do
		kill -0 "$(cat "$1/pid")" 2>/dev/null && [ $slapd_i -lt 200 ] || { cat "$1/slapd.out"; return 1; }
		slapd_i=$((slapd_i + 1)); sleep 0.05
	done
	chmod 777 "$1/ldapi"
}

slapd_stop() {
	kill "$(cat "$1/pid")" && wait "$(cat "$1/pid")" 2>/dev/null
	rm -f "$1/pid"
}
