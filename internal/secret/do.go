// SPDX-License-Identifier: Apache-2.0

//go:build !goexperiment.runtimesecret

package secret

// stackRoom is how much stack below the caller [Do] prepares and erases, in bytes. A computation inside Do must need less: SHA-512 over one
// buffer needs about 1 KiB.
const stackRoom = 16 << 10

// Do runs f and erases its temporaries from the goroutine's stack, also when f panics. It is for computations whose intermediate values
// are secret and can't all lie in an arena, such as a hash state.
//
// This is the form without GOEXPERIMENT=runtimesecret. It makes the stack large enough first, so that f runs without moving it (a moved
// stack leaves its old copy behind), and zeroes [stackRoom] bytes below the caller afterwards. It does not erase what f allocates on the
// heap, registers, or the copy of registers that a signal puts on the signal stack: f must not allocate for secrets, and the next
// computation overwrites registers.
func Do(f func()) {
	defer eraseStack()
	eraseStack()
	f()
}

// eraseStack grows the stack by stackRoom when needed and zeroes that much of it.
//
//go:noinline
func eraseStack() {
	var room [stackRoom]byte
	wipe(room[:])
}
