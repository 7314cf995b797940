//! That no statement reads a table from end to end, and that nothing is sorted which an index has in order.

use super::*;

fn plan(store: &SqliteStore, sql: &str) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    wait(store.read(move |connection| {
        let mut explain = connection.sqlite().prepare(&explain)?;
        let values = vec![1; explain.parameter_count()];
        let mut rows = explain.query(rusqlite::params_from_iter(values))?;
        let mut plan = String::new();
        while let Some(row) = rows.next()? {
            plan.push_str(&row.get::<_, String>(3)?);
            plan.push('\n');
        }
        Ok(plan)
    }))
}

#[test]
fn a_page_costs_the_page_and_not_the_table() {
    let (_folder, store) = new_store();
    for (sql, key) in [
        (accounts::LIST_ALL, "(domain,localpart)>(?,?)"),
        (accounts::LIST_DOMAIN, "domain=? AND localpart>?"),
        (offline::LOAD, "account_id=? AND rowid>?"),
        (offline::DELETE, "account_id=? AND rowid<?"),
        (offline::EXPIRED, "taken_unix_ms<?"),
        (tokens::EXPIRED, "expires_unix_s<?"),
        (tokens::USED, "account_id=? AND client=?"),
        (tokens::REVOKE, "account_id=? AND client=?"),
        (tokens::END_ALL, "account_id=?"),
        (archive::ALL, "account_id=? AND stamp_unix_us>? AND stamp_unix_us<?"),
        (archive::ALL_BACKWARDS, "account_id=? AND stamp_unix_us>? AND stamp_unix_us<?"),
        (archive::WITH, "account_id=? AND contact=? AND stamp_unix_us>? AND stamp_unix_us<?"),
        (archive::WITH_BACKWARDS, "account_id=? AND contact=? AND stamp_unix_us>? AND stamp_unix_us<?"),
        (archive::COUNT_ALL, "COVERING INDEX"),
        (archive::COUNT_WITH, "COVERING INDEX archive_message_contact"),
        (archive::ONE, "account_id=? AND uid=?"),
        (archive::PLACE, "account_id=? AND uid=?"),
        (archive::FIRST, "account_id=?"),
        (archive::LAST, "account_id=?"),
        (archive::FORGET, "account_id=? AND stamp_unix_us<?"),
        (archive::ARCHIVES, "rowid>?"),
        (pep::NODES, "account_id=?"),
        (pep::AFTER, "node_number=? AND number>?"),
        (pep::BEFORE, "node_number=? AND number<?"),
        (pep::OLDEST, "node_number=?"),
        (pep::AFFILIATIONS, "node_number=?"),
        (pep::SUBSCRIPTIONS, "node_number=?"),
    ] {
        let plan = plan(&store, sql);
        assert!(plan.starts_with("SEARCH") && plan.contains(key) && !plan.contains("TEMP"), "{sql}:\n{plan}");
    }
}

#[test]
fn no_statement_scans_a_table_or_sorts() {
    let (_folder, store) = new_store();
    for sql in [
        accounts::FIND,
        roster_items::OWNER,
        roster_items::FIND,
        roster_items::OF,
        roster_items::COUNT,
        roster_items::REQUEST_BYTES,
        roster_items::APPROVERS,
        profiles::LOAD,
        offline::COUNT_IN,
        offline::LOAD,
        offline::DELETE,
        offline::EXPIRED,
        private::LOAD,
        push::LOAD,
        push::COUNT,
        private::BYTES,
        vcards::LOAD,
        blocks::LIST,
        activity::LOAD,
        tokens::LOAD,
        tokens::FIND_ENABLED,
        archive::COUNT_IN,
        pep::NODE,
        pep::FIND,
        pep::COUNT,
        pep::ITEM,
        pep::NUMBER,
        pep::DELETE_ITEM,
        pep::COUNT_ITEMS,
        pep::COUNT_AFFILIATIONS,
        pep::COUNT_SUBSCRIPTIONS,
        pep::BYTES,
    ] {
        let plan = plan(&store, sql);
        assert!(plan.contains("SEARCH"), "{sql}:\n{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}:\n{plan}");
    }
    // What these sort is short: the clients of one account, the shapes of one domain's keys.
    for sql in [tokens::CROWD_OUT, accounts::SHAPES] {
        let plan = plan(&store, sql);
        assert!(plan.contains("SEARCH") && !plan.contains("SCAN fast_token"), "{sql}:\n{plan}");
        assert!(!plan.contains("SCAN key_shape"), "{sql}:\n{plan}");
    }
}

/// What removing an account does to each table that refers to it.
#[test]
fn the_rows_of_an_account_are_found_by_an_index() {
    let (_folder, store) = new_store();
    let tables: Vec<String> = wait(store.read(|connection| {
        let mut select = connection.sqlite().prepare(
            "SELECT tables.name FROM sqlite_schema AS tables, pragma_foreign_key_list(tables.name)
             WHERE tables.type = 'table' AND \"table\" = 'account'",
        )?;
        let names = select.query_map([], |row| row.get(0))?;
        Ok(names.collect::<rusqlite::Result<_>>()?)
    }));
    assert_eq!(tables.len(), 12, "{tables:?}");
    for table in tables {
        let plan = plan(&store, &format!("DELETE FROM {table} WHERE account_id = ?1"));
        assert!(plan.starts_with("SEARCH"), "{table}: {plan}");
    }
}
