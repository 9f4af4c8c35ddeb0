// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package entropy

// hasRDSEED says no: the instruction is of x86 processors.
func hasRDSEED() bool { return false }

// rdseed gives nothing.
func rdseed() (word uint64, ok bool) { return 0, false }
