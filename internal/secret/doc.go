// SPDX-License-Identifier: Apache-2.0

// Package secret holds key material: every key, share, seed, PIN and passphrase of the product lives in a [Bytes], from the first byte to
// the wipe, and its bytes lie in an [Arena], a bounded region outside the Go heap that is locked into memory, left out of core dumps, empty
// in forked children and fenced by guard pages.
//
// It refuses to print, log, marshal or compare in variable time what it holds, refuses every use after a wipe, and refuses an arena that
// cannot be locked where the caller requires it.
//
// What it does not do, said plainly: a process that can read this one's memory while a secret is in use (root, a debugger, code running in
// the process) reads the secret. The arena keeps secrets out of swap, core files, recycled heap pages and stray prints; it is no HSM.
// Inside [Bytes.Use] the caller sees the bytes and must neither keep nor copy them; a computation whose temporaries are secret runs in [Do].
//
// Linux only: mmap(2), mlock(2), madvise(2) MADV_DONTDUMP and MADV_WIPEONFORK, prctl(2) PR_SET_DUMPABLE.
package secret
