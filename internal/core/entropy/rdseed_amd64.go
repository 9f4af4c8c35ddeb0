// SPDX-License-Identifier: Apache-2.0

package entropy

import "golang.org/x/sys/cpu"

// hasRDSEED says whether the processor has the instruction.
func hasRDSEED() bool { return cpu.X86.HasRDSEED }

// rdseed draws one word. ok is the carry flag: whether the generator had one.
//
//go:noescape
func rdseed() (word uint64, ok bool)
