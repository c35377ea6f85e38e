// A real identity server on this machine, for `scripts/oidc-walk`:
//   node server.mjs PORT REDIRECT CLIENT_ID CLIENT_SECRET ACCOUNTS.json
// Whoever is an account there signs in by any password. The file is read at each question,
// so that an address may change. It prints `ready` when it answers.
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const [port, redirect, client_id, client_secret, file] = process.argv.slice(2);
// By name, so that browsers take it for another site than 127.0.0.1.
const issuer = `http://localhost:${port}`;

const provider = new Provider(issuer, {
  clients: [{ client_id, client_secret, redirect_uris: [redirect], grant_types: ["authorization_code"] }],
  pkce: { required: () => true },
  // `email` comes by the endpoint `userinfo`, as the specification has it.
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  async findAccount(_, id) {
    const account = JSON.parse(readFileSync(file, "utf8"))[id];
    return account && { accountId: id, claims: () => ({ sub: id, ...account }) };
  },
  // Nobody is asked whether offpeak may know the address.
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid email");
    await grant.save();
    return grant;
  },
});
// Whoever started it is done, or gone.
process.stdin.on("end", () => process.exit()).resume();
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
