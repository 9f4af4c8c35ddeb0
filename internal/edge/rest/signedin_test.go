// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"net/http"
	"testing"

	"strongroom/internal/edge/rest"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// pages are pages where whoever says so in a cookie has signed in.
type pages struct{}

func (pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte("page " + r.URL.Path))
}

func (pages) Person(r *http.Request) custody.PersonID {
	c, err := r.Cookie("who")
	if err != nil {
		return ""
	}
	return custody.PersonID(c.Value)
}

// Who has signed in to the pages reads what their certificate would let them read, and does nothing; the pages themselves take no certificate.
func TestSignedIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *rest.Config) { c.Pages = pages{} })
	stranger := h.transport("")
	cookie := func(who custody.PersonID) map[string]string { return map[string]string{"Cookie": "who=" + string(who)} }
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		want         int
	}{
		"a page":                {"GET", "/app/enrol", nil, 200},
		"reading":               {"GET", "/v1/requests", cookie(coretest.Anna.ID), 200},
		"reading the log":       {"GET", "/v1/audit/entries", cookie(coretest.Anna.ID), 200},
		"reading without":       {"GET", "/v1/requests", nil, 401},
		"as nobody":             {"GET", "/v1/requests", cookie(coretest.NewPerson(9).ID), 403},
		"as a service":          {"GET", "/v1/policy", cookie(coretest.Payout.ID), 403},
		"for another site":      {"GET", "/v1/requests", map[string]string{"Cookie": "who=" + string(coretest.Anna.ID), "Sec-Fetch-Site": "cross-site"}, 403},
		"asking for a re-check": {"POST", "/v1/audit/check", map[string]string{"Cookie": "who=" + string(coretest.Anna.ID), "Content-Type": apiv1.JSON}, 403},
	} {
		resp, b := h.raw(stranger, c.method, c.path, c.header, nil)
		if resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d: %s", name, resp.StatusCode, c.want, b)
		}
	}
	resp, b := h.raw(h.transport(string(coretest.Bruno.ID)), "POST", "/v1/audit/check", map[string]string{"Cookie": "who=" + string(coretest.Anna.ID), "Content-Type": apiv1.JSON}, nil)
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("with a certificate: %d %s", resp.StatusCode, b)
	}
	without := newHouse(t)
	resp, b = without.raw(without.transport(""), "GET", "/app/", nil, nil)
	if p := problemOf(t, resp, b); p.Kind != problem.NotFound {
		t.Errorf("pages that are not configured: %+v", p)
	}
}
