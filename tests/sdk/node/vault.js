'use strict';
// node-vault against Bulla: logins, KV version 2, tokens. VAULT_ADDR and NODE_EXTRA_CA_CERTS from the environment; role_id, secret_id, role,
// jwt and path as JSON on standard input. Prints what it read last; exits with 1 and the reason when something is not as it must be.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const vault = require('node-vault');

const input = JSON.parse(fs.readFileSync(0, 'utf8'));
const [data, metadata] = ['data', 'metadata'].map((kind) => `secret/${kind}/${input.path}`);

async function refused(promise, status, text) {
  await assert.rejects(promise, (e) => {
    assert.equal(e.response.statusCode, status);
    assert.ok(JSON.stringify(e.response.body).includes(text), JSON.stringify(e.response.body));
    return true;
  });
}

async function flow() {
  const client = vault({ endpoint: process.env.VAULT_ADDR });
  assert.equal((await client.health()).sealed, false);
  assert.equal((await client.status()).initialized, true);
  await refused(client.read(data), 403, 'permission denied');
  await refused(client.approleLogin({ role_id: input.role_id, secret_id: 'wrong' }), 400, 'invalid role or secret ID');

  const reader = vault({ endpoint: process.env.VAULT_ADDR });
  const login = await reader.kubernetesLogin({ mount_point: 'kubernetes', role: input.role, jwt: input.jwt });
  assert.ok(login.auth.client_token && login.auth.renewable);
  await refused(reader.write('secret/data/app/db', { data: { a: 1 } }), 403, 'permission denied');
  await refused(reader.kubernetesLogin({ mount_point: 'kubernetes', role: 'absent', jwt: input.jwt }), 400, 'could not be found');

  await client.approleLogin({ role_id: input.role_id, secret_id: input.secret_id });
  assert.ok((await client.tokenLookupSelf()).data.ttl > 3000);
  await client.tokenRenewSelf();
  assert.ok((await client.mounts())['secret/']);
  await refused(client.read(data), 404, '[]');
  for (let n = 0; n < 3; n += 1) {
    assert.equal((await client.write(data, { data: { n }, options: { cas: n } })).data.version, n + 1);
  }
  await refused(client.write(data, { data: { n: 9 }, options: { cas: 1 } }), 400, 'check-and-set');
  await client.update(data, { data: { more: { x: [1, null] } } });
  assert.equal((await client.read(`${data}?version=2`)).data.data.n, 1);
  const folder = input.path.slice(0, input.path.lastIndexOf('/'));
  assert.ok((await client.list(`secret/metadata/${folder}`)).data.keys.includes(input.path.slice(folder.length + 1)));
  assert.equal((await client.read(metadata)).data.current_version, 4);
  await client.delete(data);
  await refused(client.read(data), 404, '"deletion_time"');
  await client.write(`secret/undelete/${input.path}`, { versions: [4] });
  await client.write(`secret/destroy/${input.path}`, { versions: [1] });
  assert.equal((await client.read(metadata)).data.versions['1'].destroyed, true);
  const last = (await client.read(data)).data.data;
  await client.delete(metadata);
  await client.tokenRevokeSelf();
  await refused(client.tokenLookupSelf(), 403, 'permission denied');
  return last;
}

flow().then(
  (read) => console.log(JSON.stringify(read)),
  (e) => {
    console.error(e);
    process.exitCode = 1;
  },
);
