// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"strings"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/edge/passwords"
	"strongroom/internal/edge/rest"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// A login is made by a signed call of its person, and by nothing else.
func TestLogins(t *testing.T) {
	t.Parallel()
	s, err := passwords.Open(passwords.Config{Dir: t.TempDir(), Now: time.Now, Memory: 64})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(c *rest.Config) { c.Logins = s })
	ctx, secret := t.Context(), []byte("five random words")
	uri, err := h.caller(coretest.Anna).SetLogin(ctx, secret)
	if err != nil || !strings.HasPrefix(uri, "otpauth://totp/Strongroom:"+string(coretest.Anna.ID)+"?") {
		t.Fatalf("got %q, %v", uri, err)
	}
	both, err := client.New(client.Config{BaseURL: h.url, Transport: h.transport(string(coretest.Anna.ID)), Now: h.clock.Now, Signer: signer(t, coretest.Anna)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := both.SetLogin(ctx, secret); err != nil {
		t.Errorf("with a certificate besides: %v", err)
	}
	for what, c := range map[string]struct {
		by   *client.Client
		want problem.Kind
	}{
		"a certificate alone":  {h.client(coretest.Anna), problem.Unauthenticated},
		"a service":            {h.caller(coretest.Payout), problem.Forbidden},
		"no passwords here":    {newHouse(t).caller(coretest.Anna), problem.Unsupported},
		"somebody unknown yet": {h.caller(coretest.NewPerson(9)), problem.Unauthenticated},
	} {
		if _, err := c.by.SetLogin(ctx, secret); client.KindOf(err) != c.want {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := h.caller(coretest.Anna).SetLogin(ctx, []byte("short")); client.KindOf(err) != problem.Malformed {
		t.Errorf("a short password: %v", err)
	}
	if err := h.caller(coretest.Bruno).RemoveLogin(ctx, coretest.Anna.ID); client.KindOf(err) != problem.Forbidden {
		t.Errorf("another's login: %v", err)
	}
	for _, p := range []custody.PersonID{coretest.Anna.ID, coretest.Anna.ID} { // twice: none is there the second time
		if err := h.caller(coretest.Anna).RemoveLogin(ctx, p); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if strings.Contains(h.log.String(), "five random words") {
		t.Error("the password is in the log")
	}
}
