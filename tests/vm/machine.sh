# Sourced by tests/test_vm.sh: a virtual machine with Debian's kernel, whose root is this host's, read-only.
#   vm_kernel DIR                 the kernel package unpacked below DIR, once; sets $vm_version
#   vm_initrd DIR                 DIR/initrd with the modules that are needed
#   vm_run DIR SECONDS INIT FILE  boots and runs INIT with sh, as its process 1; the console goes to FILE;
#                                 DIR/out is the guest's /run/out
# Nothing is installed, and the guest has no network device.

# Those of the root first, in the order in which they are loaded; then what IPsec and nftables want.
vm_modules_root="virtio_pci 9pnet_virtio 9p"
vm_modules="veth bridge xfrm_user xfrm_algo esp4 esp6 ah4 ah6 xfrm4_tunnel xfrm6_tunnel nf_tables nft_ct nft_xfrm nft_reject_inet nft_reject_ipv4
	nft_reject_ipv6 nf_conntrack nf_conntrack_netlink nft_log nfnetlink_log nft_limit nft_fib nft_fib_inet nft_hash nft_numgen nft_masq
	af_packet echainiv authenc cbc hmac sha1_generic sha256_generic sha512_generic md5 aes_generic des_generic gcm seqiv ccm ctr
	ghash_generic crypto_null drbg jitterentropy_rng"

# The newest package is asked for only when there is none yet: a cached one needs no network.
vm_kernel() {
	vm_version=$(cat "$1/version" 2>/dev/null) && [ -e "$1/vmlinuz" ] && return 0
	rm -rf "$1/package" && mkdir -p "$1/package" || return 1
	vm_find="apt-cache depends linux-image-amd64"
	vm_package=$($vm_find 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)$/\1/p' | head -1)
	[ -n "$vm_package" ] && (cd "$1/package" && apt-get download "$vm_package") >"$1/apt.log" 2>&1 || {
		# No package lists, or old ones.
		apt-get update >"$1/apt.log" 2>&1
		vm_package=$($vm_find 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)$/\1/p' | head -1)
		[ -n "$vm_package" ] && (cd "$1/package" && apt-get download "$vm_package") >>"$1/apt.log" 2>&1 || return 1
	}
	vm_version=${vm_package#linux-image-}
	dpkg -x "$1/package"/*.deb "$1/package" && rm -f "$1/package"/*.deb && depmod -b "$1/package" "$vm_version" || return 1
	python3 "$srcdir/tests/vm/vmlinux.py" "$1/package/boot/vmlinuz-$vm_version" "$1/vmlinuz" ||
		cp "$1/package/boot/vmlinuz-$vm_version" "$1/vmlinuz"
	echo "$vm_version" >"$1/version"
}

# vm_module_files DIR MODULE...: their files and those they need, in order; built-in ones have none
vm_module_files() {
	vm_d=$1/package; shift
	for vm_m; do
		modprobe -d "$vm_d" -S "$vm_version" --show-depends "$vm_m" 2>/dev/null
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

vm_initrd() {
	rm -rf "$1/initrd.d" && mkdir -p "$1/initrd.d/bin" "$1/initrd.d/mods" "$1/initrd.d/proc" "$1/initrd.d/dev" "$1/initrd.d/newroot" || return 1
	cp "$(command -v busybox)" "$1/initrd.d/bin/busybox" && install -m 755 "$srcdir/tests/vm/init" "$1/initrd.d/init" || return 1
	vm_root=$(vm_module_files "$1" $vm_modules_root | wc -l)
	vm_module_files "$1" $vm_modules_root $vm_modules >"$1/modules"
	xargs cp -t "$1/initrd.d/mods" <"$1/modules" || return 1
	sed 's,.*/,,' "$1/modules" | head -"$vm_root" >"$1/initrd.d/mods/root"
	sed 's,.*/,,' "$1/modules" | tail -n +$((vm_root + 1)) >"$1/initrd.d/mods/more"
	(cd "$1/initrd.d" && find . | cpio -o -H newc --quiet) >"$1/initrd" && rm -rf "$1/initrd.d"
}

# A processor is emulated (TCG): slow, and the same everywhere.  Nested KVM is often there and broken; who trusts his sets
# VM_ACCEL=kvm.
vm_run() {
	mkdir -p "$1/out"
	vm_init=$(realpath -m "$3") vm_out=$(realpath -m "$1/out")
	timeout -k 5 "$2" qemu-system-x86_64 -M q35 -accel "${VM_ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m 1024 \
		-nodefaults -no-user-config -display none -serial stdio -no-reboot -nic none \
		-kernel "$1/vmlinuz" -initrd "$1/initrd" \
		-append "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off random.trust_cpu=on guest=$vm_init" \
		-virtfs local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap \
		-virtfs "local,path=$vm_out,mount_tag=out,security_model=none" </dev/null >"$4" 2>&1
}
