// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func rdseed() (word uint64, ok bool)
TEXT ·rdseed(SB), NOSPLIT, $0-9
	RDSEEDQ AX
	SETCS ok+8(FP)
	MOVQ AX, word+0(FP)
	XORL AX, AX
	RET
