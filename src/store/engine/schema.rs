//! The tables as diesel sees them; a test compares this with both migrations.
//!
//! Owns: nothing but the list. Must not know: what the columns mean (see the row structs). Called by: the rest of store.

diesel::table! {
    deployment (id) {
        id -> Binary,
        region -> Text,
        sys_key -> Binary,
        int_key -> Binary,
        aud_key -> Binary,
        row_key -> Binary,
        spare_row_key -> Nullable<Binary>,
        suite -> SmallInt,
        ready -> Bool,
        created_at -> BigInt,
        level -> SmallInt,
        left_out -> Text,
        mac -> Binary,
    }
}

diesel::table! {
    schema_levels (version) {
        version -> Text,
        level -> SmallInt,
    }
}

diesel::table! {
    nodes (id) {
        id -> Binary,
        lowest -> SmallInt,
        highest -> SmallInt,
        seen_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    log_heads (node, log) {
        node -> Binary,
        log -> Text,
        place -> Text,
        generation -> BigInt,
        token -> Binary,
        seq -> BigInt,
        hash -> Binary,
        open_from -> BigInt,
        rights -> BigInt,
        changes -> BigInt,
        digest -> Binary,
        written_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    anchors (id) {
        id -> SmallInt,
        restored_at -> BigInt,
        key_id -> Binary,
        previous_key -> Nullable<Binary>,
        key_since -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    scopes (scope) {
        scope -> Binary,
        seq -> BigInt,
        digest -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    parts (part) {
        part -> SmallInt,
        seq -> BigInt,
        digest -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    accounts (id) {
        id -> Text,
        name -> Text,
        enabled -> Bool,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    users (id) {
        id -> Binary,
        account_id -> Text,
        name -> Text,
        enabled -> Bool,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    access_keys (id) {
        id -> Text,
        account_id -> Text,
        user_id -> Nullable<Binary>,
        enabled -> Bool,
        created_at -> BigInt,
        suite -> SmallInt,
        wrapped -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    bearer_tokens (digest) {
        digest -> Binary,
        account_id -> Text,
        user_id -> Nullable<Binary>,
        access_key -> Nullable<Text>,
        accessor -> Text,
        login -> Text,
        label -> Text,
        parent -> Nullable<Binary>,
        issued_at -> BigInt,
        ttl_ms -> BigInt,
        expires_at -> BigInt,
        max_at -> BigInt,
        renewable -> Bool,
        mac -> Binary,
    }
}

diesel::table! {
    policies (account_id, name) {
        account_id -> Text,
        name -> Text,
        document -> Text,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    policy_attachments (user_id, system, policy_name) {
        user_id -> Binary,
        system -> Bool,
        policy_name -> Text,
        account_id -> Text,
        mac -> Binary,
    }
}

diesel::table! {
    access_points (account_id, name) {
        account_id -> Text,
        name -> Text,
        description -> Text,
        policies -> Text,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    access_policies (account_id, name) {
        account_id -> Text,
        name -> Text,
        description -> Text,
        kms_instance -> Text,
        permissions -> Text,
        resources -> Text,
        network_rules -> Text,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    network_rules (account_id, name) {
        account_id -> Text,
        name -> Text,
        description -> Text,
        source_ips -> Text,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    client_keys (id) {
        id -> Text,
        account_id -> Text,
        access_point -> Text,
        public_key -> Binary,
        not_before -> BigInt,
        not_after -> BigInt,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    keys (id) {
        id -> Binary,
        account_id -> Text,
        spec -> Text,
        usage -> Text,
        origin -> Text,
        protection -> Text,
        state -> Text,
        service -> Bool,
        description -> Text,
        primary_version -> Binary,
        created_at -> BigInt,
        delete_at -> Nullable<BigInt>,
        material_expires_at -> Nullable<BigInt>,
        deletion_protection -> Nullable<Text>,
        kms_instance -> Nullable<Text>,
        mac -> Binary,
    }
}

diesel::table! {
    key_versions (id) {
        id -> Binary,
        key_id -> Binary,
        created_at -> BigInt,
        ready -> Bool,
        uses -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    condemned (id) {
        id -> Binary,
        key_id -> Binary,
        account_id -> Text,
        condemned_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    key_rotations (key_id) {
        key_id -> Binary,
        interval_s -> Nullable<BigInt>,
        due_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    key_materials (key_version_id) {
        key_version_id -> Binary,
        key_id -> Binary,
        state -> Text,
        check_value -> Nullable<Binary>,
        changed_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    import_parameters (id) {
        id -> Binary,
        key_id -> Binary,
        algorithm -> Text,
        token_digest -> Binary,
        ready -> Bool,
        failures -> BigInt,
        expires_at -> BigInt,
        wrapped_suite -> Nullable<SmallInt>,
        wrapped -> Nullable<Binary>,
        mac -> Binary,
    }
}

diesel::table! {
    default_keys (account_id) {
        account_id -> Text,
        key_id -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    aliases (account_id, name) {
        account_id -> Text,
        name -> Text,
        key_id -> Binary,
        created_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    secrets (account_id, name) {
        account_id -> Text,
        name -> Text,
        id -> Binary,
        secret_type -> Text,
        description -> Text,
        key_id -> Binary,
        user_key -> Bool,
        created_at -> BigInt,
        updated_at -> BigInt,
        delete_at -> Nullable<BigInt>,
        kms_instance -> Nullable<Text>,
        content -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    secret_counts (account_id, part) {
        account_id -> Text,
        part -> SmallInt,
        secrets -> BigInt,
    }
}

diesel::table! {
    secret_versions (secret_id, version_id) {
        secret_id -> Binary,
        version_id -> Text,
        uuid -> Binary,
        number -> BigInt,
        deleted_at -> Nullable<BigInt>,
        destroyed -> Bool,
        data_type -> Text,
        created_at -> BigInt,
        key_version_id -> Binary,
        suite -> SmallInt,
        wrapped -> Binary,
        commitment -> Binary,
        nonce -> Binary,
        ciphertext -> Binary,
    }
}

diesel::table! {
    version_stages (secret_id, stage) {
        secret_id -> Binary,
        stage -> Text,
        version_id -> Text,
        version_uuid -> Binary,
        number -> BigInt,
        withheld -> Bool,
        mac -> Binary,
    }
}

diesel::table! {
    rotations (secret_id) {
        secret_id -> Binary,
        sub_type -> Text,
        instance -> Text,
        custom_data -> Text,
        interval_ms -> Nullable<BigInt>,
        last_at -> Nullable<BigInt>,
        next_at -> Nullable<BigInt>,
        pending_id -> Nullable<Text>,
        pending_uuid -> Nullable<Binary>,
        attempt_at -> Nullable<BigInt>,
        failures -> BigInt,
        holder -> Nullable<Binary>,
        held_until -> Nullable<BigInt>,
        mac -> Binary,
    }
}

diesel::table! {
    rotation_accounts (instance, name) {
        instance -> Text,
        name -> Text,
        secret_id -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    rotation_calls (account_id, called_at, version_uuid) {
        account_id -> Text,
        called_at -> BigInt,
        version_uuid -> Binary,
    }
}

diesel::table! {
    tags (resource_id, tag_key) {
        resource_id -> Binary,
        tag_key -> Text,
        account_id -> Text,
        resource_kind -> SmallInt,
        tag_value -> Text,
        mac -> Binary,
    }
}

diesel::table! {
    resource_policies (account_id, resource) {
        account_id -> Text,
        resource -> Text,
        document -> Text,
        updated_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    nonces (digest) {
        digest -> Binary,
        request_id -> Binary,
        node -> Binary,
        expires_at -> BigInt,
        mac -> Binary,
    }
}

diesel::table! {
    leases (name) {
        name -> Text,
        holder -> Binary,
        until -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(secrets, keys, secret_versions, version_stages, tags, rotations);
diesel::joinable!(key_versions -> keys (key_id));
diesel::joinable!(key_rotations -> keys (key_id));
diesel::allow_tables_to_appear_in_same_query!(keys, default_keys);
diesel::allow_tables_to_appear_in_same_query!(keys, key_versions);
diesel::allow_tables_to_appear_in_same_query!(keys, key_rotations);
diesel::allow_tables_to_appear_in_same_query!(keys, aliases);
