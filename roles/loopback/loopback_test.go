package loopback

import "testing"

func TestIs(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.0.0.1": true, "127.9.9.9:1": true, "127.0.0.1:": true, "[::1]:80": true, "[::1]": true, "::1": true, "[::ffff:127.0.0.1]:80": true,
		"localhost": true, "localhost:80": true, "LOCALHOST": true, "LocalHost:8080": true,
		"": false, ":80": false, "0.0.0.0:80": false, "[::]:80": false, "[::]": false, "10.0.0.1:80": false, "10.0.0.1": false, "[2001:db8::1]:80": false,
		"example.org": false, "example.org:80": false, "localhost.example.org:80": false, "127.0.0.1.example.org": false, "nowhere": false, "127.1:80": false,
	} {
		if Is(address) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
}
