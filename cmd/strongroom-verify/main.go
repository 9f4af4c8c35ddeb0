// SPDX-License-Identifier: Apache-2.0

// Command strongroom-verify is the auditor's tool: it checks proof files offline, with no keys of its own and no network. 'strongroom
// verify' is the same code.
package main

import (
	"os"

	"strongroom/internal/app/verifyapp"
)

func main() { os.Exit(verifyapp.Main("strongroom-verify", os.Args[1:], os.Stdout, os.Stderr)) }
