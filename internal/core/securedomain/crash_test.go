package securedomain_test
import ("testing";"time";"strongroom/internal/core/securedomain/domaintest";"strongroom/internal/pure/request")
func TestX(t *testing.T){
 for range 3 {
 a:=time.Now()
 h:=domaintest.New(t, domaintest.Options{Document: withBank, SnapshotEvery:6})
 b:=time.Now()
 s:=newStory(h, request.SchemeP2WPKH)
 if err:=s.tell(); err!=nil {t.Fatal(err)}
 c:=time.Now()
 if err:=s.tell(); err!=nil {t.Fatal(err)}
 h.Reopen(); s.session=nil
 d:=time.Now()
 if err:=s.tell(); err!=nil {t.Fatal(err)}
 h.Check()
 t.Log(b.Sub(a), c.Sub(b), d.Sub(c), time.Since(d), h.D.Status().Size)
 }
}
