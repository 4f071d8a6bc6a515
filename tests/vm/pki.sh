# pki.sh DIR: a CA, certificates of hosts A and B by it, another CA and one by that.
set -e
mkdir -p "$1"
cd "$1"
# ca NAME SUBJECT; leaf NAME CA
ca() {
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.pem" -days 30 -subj "$2" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}
leaf() {
	openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/O=Corp/CN=$1.corp.example" 2>/dev/null
	printf 'subjectAltName=DNS:%s.corp.example\nkeyUsage=digitalSignature\n' "$1" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
ca ca "/O=Corp/CN=Corp Root"
ca other "/O=Corp/CN=Other Root"
leaf a ca
leaf b ca
leaf stranger other
