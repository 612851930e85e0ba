package enroll

import (
	"errors"
	"strings"
	"testing"
)

// TestCluster: every server of a cluster knows the others, and shows its certificate to them.
func TestCluster(t *testing.T) {
	a, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	s := Server{Cluster: []string{"one", "two.example.org", "three"}, Cert: "/c", Key: "/k", CA: "/ca"}
	for _, node := range s.Nodes() {
		config, err := a.Config(node)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range s.Cluster {
			if routed := strings.Contains(config, `"tls://`+other+`:6222"`); routed == (other == node.Name) {
				t.Errorf("%s: a route to %s: %v", node.Name, other, routed)
			}
		}
		if !strings.Contains(config, "verify: true") || !strings.Contains(config, `server_name: "`+node.Name+`"`) {
			t.Errorf("%s:\n%s", node.Name, config)
		}
	}
	for name, c := range map[string]struct {
		Server
		want error
	}{
		"two":         {Server{Cluster: []string{"a", "b"}, Cert: "c", CA: "d"}, ErrCluster},
		"four":        {Server{Cluster: []string{"a", "b", "c", "d"}, Cert: "c", CA: "d"}, ErrCluster},
		"twice":       {Server{Cluster: []string{"a", "b", "a"}, Cert: "c", CA: "d"}, ErrCluster},
		"no TLS":      {Server{Cluster: []string{"a", "b", "c"}}, ErrCluster},
		"no CA":       {Server{Cluster: []string{"a", "b", "c"}, Cert: "c"}, ErrCluster},
		"port":        {Server{Cluster: []string{"a", "b", "c:1"}, Cert: "c", CA: "d"}, ErrName},
		"path":        {Server{Cluster: []string{"a", "b", "../c"}, Cert: "c", CA: "d"}, ErrName},
		"empty":       {Server{Cluster: []string{"a", "b", ""}, Cert: "c", CA: "d"}, ErrName},
		"line ending": {Server{Cluster: []string{"a", "b", "c\n"}, Cert: "c", CA: "d"}, ErrName},
	} {
		if _, err := a.Config(c.Server); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
