// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hardening is what every unit has; what a unit has besides is its own.
var hardening = []string{"NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
	"ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectClock=yes", "ProtectHostname=yes", "ProcSubset=pid",
	"RestrictNamespaces=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "RemoveIPC=yes", "SystemCallArchitectures=native",
	"SystemCallFilter=@system-service", "LimitCORE=0", "UMask=0077", "Type=exec", "WantedBy=multi-user.target"}

// TestUnits: each unit is installed, has a user that is made, and is as hardened as the others; and whoever may connect to the core's door is in its group.
func TestUnits(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	units, err := filepath.Glob(filepath.Join("..", "..", "deploy", "systemd", "*.service"))
	if err != nil || len(units) < 4 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	_, loop, ok := strings.Cut(read("install"), "for u in ")
	list, _, ends := strings.Cut(loop, ";")
	if !ok || !ends {
		t.Fatal("deploy/install has no list of units")
	}
	installed, users := strings.Fields(list), strings.Split(read("systemd/strongroom.sysusers.conf"), "\n")
	core := read("systemd/strongroom-core.service")
	for _, path := range units {
		name := strings.TrimSuffix(filepath.Base(path), ".service")
		lines := strings.Split(read("systemd/"+filepath.Base(path)), "\n")
		if !slices.Contains(installed, strings.TrimPrefix(name, "strongroom-")) {
			t.Errorf("%s is not installed", name)
		}
		for _, want := range append([]string{"User=" + name, "Group=" + name}, hardening...) {
			if !slices.Contains(lines, want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
		made := slices.ContainsFunc(users, func(l string) bool { return strings.HasPrefix(l, "u "+name+" ") })
		if !made {
			t.Errorf("nobody makes the user %s", name)
		}
		member := slices.ContainsFunc(users, func(l string) bool { return slices.Equal(strings.Fields(l), []string{"m", name, "strongroom-door"}) })
		if allowed := strings.Contains(core, "$(id -u "+name+")"); member != allowed {
			t.Errorf("%s: in the group of the door %v, allowed by the core %v", name, member, allowed)
		}
	}
}
