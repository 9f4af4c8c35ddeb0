// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"strings"
	"testing"
)

// TestTimeServer: packets go where the operator said, and to no other host whatever a key establishment named.
func TestTimeServer(t *testing.T) {
	t.Parallel()
	c, err := New(Config{NTP: map[string]string{"a": "10.0.0.1:123", "b": "10.0.0.2:1123"},
		NTS: map[string]string{"b": "b.example:4460", "c": "c.example:4460", "d": "[2001:db8::1]:4460"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for target, want := range map[string]string{
		"a": "10.0.0.1:123", "b": "10.0.0.2:1123", "b@:99": "10.0.0.2:1123", "b@evil.example:99": "10.0.0.2:1123",
		"c": "c.example:123", "c@:99": "c.example:99", "c@c.example:": "c.example:123", "c@C.example:99": "c.example:99", "d@:99": "[2001:db8::1]:99", "d@[2001:db8::1]:": "[2001:db8::1]:123",
		"c@evil.example:99": "error: name it in serve's configuration: ntp c", "c@127.0.0.1:": "error: ntp c", "c@x": "error: no such target", "e": "error: no such target",
		"": "error: no such target", "@:99": "error: no such target",
	} {
		got, err := c.timeServer(target)
		says, fails := strings.CutPrefix(want, "error: ")
		if fails != (err != nil) || !fails && got != want || fails && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %q, %v; want %q", target, got, err, want)
		}
	}
}
