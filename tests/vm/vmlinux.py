#!/usr/bin/env python3
"""vmlinux.py BZIMAGE VMLINUX: the kernel out of its compressed image (Documentation/arch/x86/boot.rst),
which qemu starts without a firmware: seconds less where the processor is emulated."""
import lzma
import struct
import sys
import zlib

image = open(sys.argv[1], 'rb').read()
if image[0x202:0x206] != b'HdrS' or struct.unpack('<H', image[0x206:0x208])[0] < 0x208:
    sys.exit('no bzImage with a payload')
setup = (image[0x1f1] or 4) + 1
offset, length = struct.unpack('<II', image[0x248:0x250])
start = setup * 512 + offset
payload = image[start:start + length]
if payload[:6] == b'\xfd7zXZ\0':
    kernel = lzma.LZMADecompressor().decompress(payload)
elif payload[:2] == b'\x1f\x8b':
    kernel = zlib.decompressobj(31).decompress(payload)
else:
    sys.exit('a compression that is not known')
if kernel[:4] != b'\x7fELF':
    sys.exit('no ELF in it')
open(sys.argv[2], 'wb').write(kernel)
