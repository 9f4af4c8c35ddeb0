// SPDX-License-Identifier: Apache-2.0

package request

import "fmt"

// Role says what a principal may do at all, whatever the plans say. Names are wire format. docs/spec/roles.md has the table.
type Role string

// The roles.
const (
	Requester     Role = "requester"     // asks for transfers, wallets and grants; a service opens sessions
	Approver      Role = "approver"      // approves and rejects where a plan counts them
	Whitelister   Role = "whitelister"   // asks for changes of the address book
	Administrator Role = "administrator" // asks for changes of people, rules and the domain
	Risk          Role = "risk"          // holds, freezes and asks for what takes power away; reads everything
	Auditor       Role = "auditor"       // reads and exports everything, and does nothing else
	Pricer        Role = "pricer"        // signs quotes or verdicts, and asks for nothing
)

// Roles lists every role.
func Roles() []Role {
	return []Role{Requester, Approver, Whitelister, Administrator, Risk, Auditor, Pricer}
}

// MaxLine is the last of the three lines of defence: 1 operates, 2 watches over risk, 3 audits.
const MaxLine = 3

// checkLine says whether line and roles have the form that a principal's have: a line of 0 to 3, 0 being none, and roles by rising name.
func checkLine(line uint8, roles []Role) error {
	if line > MaxLine {
		return fmt.Errorf("line is %d; want 1, 2 or 3", line)
	}
	for i, r := range roles {
		known := false
		for _, k := range Roles() {
			known = known || r == k
		}
		if !known {
			return fmt.Errorf("role %q is none of %v", string(r), Roles())
		}
		if i > 0 && roles[i-1] >= r {
			return fmt.Errorf("roles must be sorted and distinct")
		}
	}
	return nil
}
