'use strict';
// The main flow through @alicloud/kms20160120. Which Bulla comes from the BULLA_… variables of conftest.py; the secret's name
// and value as JSON on standard input. Prints what it read; exits with 1 and the reason when something is not as it must be.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { default: Kms, ...models } = require('@alicloud/kms20160120');
const { Config } = require('@alicloud/rpc-client');

const input = JSON.parse(fs.readFileSync(0, 'utf8'));
const client = new Kms(new Config({
  accessKeyId: process.env.BULLA_ACCESS_KEY_ID,
  accessKeySecret: process.env.BULLA_ACCESS_KEY_SECRET,
  endpoint: process.env.BULLA_ENDPOINT.replace(/^http:\/\//, '').replace(/\/$/, ''),
  protocol: 'http',
  regionId: process.env.BULLA_REGION,
}));

// The SDK's method and request class of an operation.
function call(action, parameters) {
  const method = action[0].toLowerCase() + action.slice(1);
  return client[method](new models[`${action}Request`](parameters));
}

async function refused(action, parameters, code) {
  // This SDK appends "Error" to every code.
  await assert.rejects(call(action, parameters), (e) => e.code === `${code}Error` || assert.fail(`${action}: ${e.code}`));
}

async function flow() {
  const { secretName, secretData, secretDataType, tags } = input;
  const { keyMetadata: key } = await call('CreateKey', { description: 'Node 主密钥' });
  const made = await call('CreateSecret', {
    secretName, secretData, secretDataType, versionId: 'v1', description: '数据库 *~', tags: JSON.stringify(tags),
    encryptionKeyId: key.keyId,
  });
  assert.equal(made.secretName, secretName);
  await refused('CreateSecret', { secretName, secretData, versionId: 'v2' }, 'Rejected.ResourceExist');

  const read = await call('GetSecretValue', { secretName });
  assert.equal(read.secretData, secretData);
  assert.equal(read.secretDataType, secretDataType);
  assert.equal((await call('GetSecretValue', { secretName, versionId: 'v1' })).secretData, secretData);

  const described = await call('DescribeSecret', { secretName, fetchTags: 'true' });
  assert.equal(described.encryptionKeyId, key.keyId);
  assert.equal(described.description, '数据库 *~');
  assert.deepEqual(described.tags.tag.map((t) => ({ TagKey: t.tagKey, TagValue: t.tagValue })), tags);

  // This SDK sends a map flattened: EncryptionContext.用途=备份.
  const encryptionContext = { 用途: '备份', order: '7' };
  const { ciphertextBlob } = await call('Encrypt', { keyId: key.keyId, plaintext: secretData, encryptionContext });
  assert.equal((await call('Decrypt', { ciphertextBlob, encryptionContext })).plaintext, secretData);
  await refused('Decrypt', { ciphertextBlob }, 'InvalidParameter');
  const dataKey = await call('GenerateDataKey', { keyId: key.keyId, numberOfBytes: 16, encryptionContext });
  assert.equal((await call('Decrypt', { ciphertextBlob: dataKey.ciphertextBlob, encryptionContext })).plaintext, dataKey.plaintext);

  let found = 0;
  for (let page = 1, total = 1; (page - 1) * 100 < total; page += 1) {
    const list = await call('ListSecrets', { pageNumber: page, pageSize: 100 });
    total = list.totalCount;
    found += list.secretList.secret.filter((s) => s.secretName === secretName).length;
  }
  assert.equal(found, 1);

  await call('PutSecretValue', { secretName, secretData: '第二', versionId: 'v2', versionStages: '["next"]' });
  await call('UpdateSecretVersionStage', { secretName, versionStage: 'ACSCurrent', moveToVersion: 'v2', removeFromVersion: 'v1' });
  assert.equal((await call('GetSecretValue', { secretName })).secretData, '第二');
  await refused('PutSecretValue', { secretName, secretData: 'other', versionId: 'v2' }, 'Rejected.ResourceExist');
  await call('UpdateSecretVersionStage', { secretName, versionStage: 'ACSCurrent', moveToVersion: 'v1' });
  const { versionIds } = await call('ListSecretVersionIds', { secretName, includeDeprecated: 'true' });
  assert.deepEqual(versionIds.versionId.map((v) => [v.versionId, v.versionStages.versionStage]), [
    ['v1', ['ACSCurrent']], ['v2', ['ACSPrevious', 'next']],
  ]);
  await call('UpdateSecret', { secretName, description: '改' });
  await call('TagResource', { secretName, tags: JSON.stringify([{ TagKey: 'more', TagValue: '1' }]) });
  await call('UntagResource', { secretName, tagKeys: '["env/stage"]' });
  const changed = await call('DescribeSecret', { secretName, fetchTags: 'true' });
  assert.equal(changed.description, '改');
  assert.deepEqual(changed.tags.tag.map((t) => [t.tagKey, t.tagValue]), [['more', '1']]);

  await call('DeleteSecret', { secretName, recoveryWindowInDays: '7' });
  await refused('GetSecretValue', { secretName }, 'Rejected.ResourceInDeleteWindow');
  await call('RestoreSecret', { secretName });
  await refused('GetSecretValue', { secretName: `${secretName}-absent` }, 'Forbidden.ResourceNotFound');
  return { secretData: (await call('GetSecretValue', { secretName })).secretData };
}

flow().then(
  (result) => process.stdout.write(JSON.stringify(result)),
  (e) => { process.stderr.write(`${e.stack}\n`); process.exitCode = 1; },
);
