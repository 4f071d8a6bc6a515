# Sourced first: runs the script again in network, mount and process namespaces of its own.
: "${builddir:?}" "${srcdir:?}"
if [ -z "${IPSECPOL_TEST_NS:-}" ]; then
	builddir=$(cd "$builddir" && pwd) srcdir=$(cd "$srcdir" && pwd) IPSECPOL_TEST_NS=1
	export builddir srcdir IPSECPOL_TEST_NS
	exec unshare -nmpf --kill-child --mount-proc --propagation private sh "$0" "$@"
fi
