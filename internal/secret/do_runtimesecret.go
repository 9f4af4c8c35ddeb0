// SPDX-License-Identifier: Apache-2.0

//go:build goexperiment.runtimesecret

package secret

import runtimesecret "runtime/secret"

// Do runs f and erases its temporaries: registers and stack when it returns, heap allocations when they become unreachable, as
// runtime/secret.Do of GOEXPERIMENT=runtimesecret does. Without that experiment a form that erases the stack alone takes its place.
func Do(f func()) { runtimesecret.Do(f) }
