#!/bin/sh
# Makes the stores of this folder anew, with OpenSSL 3 (and its legacy provider) and the keytool of Java 17.
# For tests alone.
set -eu
cd "$(dirname "$0")"
rm -f *.pem *.p12 *.jks
P="-passout pass:correct"
DAYS=36500

openssl req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -subj '/CN=emrkeys test CA' -days $DAYS \
  -out ca.pem 2>/dev/null
issue() { # NAME KEY [EXTENSION]: without any, a certificate of version 1
  printf '%s\n' "${3:-}" >extensions
  openssl req -new -key "$2" -subj "/CN=$1" |
    openssl x509 -req -CA ca.pem -CAkey ca-key.pem -days $DAYS ${3:+-extfile extensions} -out "$1-cert.pem" 2>/dev/null
  rm extensions
}
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec-key.pem
issue client key.pem 'extendedKeyUsage=clientAuth'
issue ec ec-key.pem 'extendedKeyUsage=clientAuth'
issue server key.pem 'subjectAltName=IP:127.0.0.1'
issue v1 key.pem

cat client-cert.pem ca.pem key.pem >client.pem
cat key.pem ca.pem client-cert.pem >client-shuffled.pem
cat ec-cert.pem ec-key.pem >client-ec.pem
cat server-cert.pem key.pem >server.pem
{ cat client-cert.pem; openssl rsa -in key.pem -traditional 2>/dev/null; } >client-pkcs1.pem
{ cat client-cert.pem; openssl pkcs8 -topk8 -in key.pem $P -v2 aes-256-cbc; } >client-encrypted.pem
openssl pkcs12 -export -inkey key.pem -in client-cert.pem -certfile ca.pem $P -out client.p12
openssl pkcs12 -export -legacy -inkey key.pem -in client-cert.pem -certfile ca.pem $P -out client-legacy.p12
openssl pkcs12 -export -inkey ec-key.pem -in ec-cert.pem $P -out client-ec.p12
openssl pkcs12 -export -inkey key.pem -in client-cert.pem -passout pass: -out client-empty-password.p12
trust() { keytool -importcert -noprompt -storetype PKCS12 -storepass correct -alias ca -file ca.pem "$@" 2>/dev/null; }
trust -keystore trust.p12
trust -keystore trust-legacy.p12 -J-Dkeystore.pkcs12.legacy

# To be refused.
cat client-cert.pem key.pem ec-key.pem >bad-two-keys.pem
cat ec-cert.pem key.pem >bad-pair.pem
cat v1-cert.pem key.pem >bad-v1.pem
{ cat ec-cert.pem; openssl pkey -in ec-key.pem -traditional; } >bad-sec1.pem
openssl pkcs12 -export -nomac -inkey key.pem -in client-cert.pem $P -out bad-no-mac.p12
keytool -importkeystore -noprompt -srckeystore client.p12 -srcstorepass correct -destkeystore bad.jks \
  -deststoretype JKS -deststorepass correct 2>/dev/null
rm ca-key.pem key.pem ec-key.pem ./*-cert.pem
