SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
CREATE ROLE cafeteria_owner;
ALTER ROLE cafeteria_owner WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE gateway;
ALTER ROLE gateway WITH NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE identity;
ALTER ROLE identity WITH NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE kitchen;
ALTER ROLE kitchen WITH NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE notification;
ALTER ROLE notification WITH NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE stock;
ALTER ROLE stock WITH NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
ALTER ROLE identity IN DATABASE cafeteria SET search_path TO 'identity';
ALTER ROLE gateway IN DATABASE cafeteria SET search_path TO 'gateway';
ALTER ROLE stock IN DATABASE cafeteria SET search_path TO 'stock';
ALTER ROLE kitchen IN DATABASE cafeteria SET search_path TO 'kitchen';
ALTER ROLE notification IN DATABASE cafeteria SET search_path TO 'notification';
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA gateway;
ALTER SCHEMA gateway OWNER TO cafeteria_owner;
CREATE SCHEMA identity;
ALTER SCHEMA identity OWNER TO cafeteria_owner;
CREATE SCHEMA kitchen;
ALTER SCHEMA kitchen OWNER TO cafeteria_owner;
CREATE SCHEMA notification;
ALTER SCHEMA notification OWNER TO cafeteria_owner;
CREATE SCHEMA stock;
ALTER SCHEMA stock OWNER TO cafeteria_owner;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE gateway.alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE gateway.alembic_version OWNER TO cafeteria_owner;
CREATE TABLE gateway.dead_letters (
    id uuid NOT NULL,
    stream text NOT NULL,
    sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    message_id text,
    body bytea NOT NULL,
    error text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE gateway.dead_letters OWNER TO cafeteria_owner;
CREATE TABLE gateway.idempotency_keys (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    key character varying NOT NULL,
    response_snapshot jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    request_hash bytea NOT NULL,
    response_status smallint,
    response_body bytea,
    CONSTRAINT ck_idempotency_keys_answer_final CHECK ((response_status = ANY (ARRAY[201, 409]))),
    CONSTRAINT ck_idempotency_keys_answer_whole_or_absent CHECK (((response_status IS NULL) = (response_body IS NULL)))
)
WITH (fillfactor='50');
ALTER TABLE gateway.idempotency_keys OWNER TO cafeteria_owner;
CREATE TABLE gateway.orders (
    id uuid NOT NULL,
    student_id character varying NOT NULL,
    status character varying NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    lines jsonb NOT NULL,
    total numeric(13,2),
    version smallint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    next_ask_at timestamp with time zone,
    next_check_at timestamp with time zone,
    rejection_reason character varying,
    status_times jsonb NOT NULL,
    kitchen_seen_at timestamp with time zone,
    notified_version smallint DEFAULT '0'::smallint NOT NULL,
    released_at timestamp with time zone,
    CONSTRAINT ck_orders_cancelled_is_released CHECK ((((status)::text <> 'CANCELLED'::text) OR (released_at IS NOT NULL) OR (next_ask_at IS NOT NULL))),
    CONSTRAINT ck_orders_only_cancelled_released CHECK (((released_at IS NULL) OR ((status)::text = 'CANCELLED'::text))),
    CONSTRAINT ck_orders_pending_is_asked_again CHECK ((((status)::text <> 'PENDING'::text) OR (next_ask_at IS NOT NULL))),
    CONSTRAINT ck_orders_rejected_has_reason CHECK ((((status)::text = 'REJECTED'::text) = (rejection_reason IS NOT NULL))),
    CONSTRAINT ck_orders_rejection_reason_known CHECK (((rejection_reason)::text = ANY ((ARRAY['OUT_OF_STOCK'::character varying, 'UNKNOWN_ITEM'::character varying, 'EXPIRED'::character varying])::text[]))),
    CONSTRAINT ck_orders_status_known CHECK (((status)::text = ANY ((ARRAY['PENDING'::character varying, 'STOCK_VERIFIED'::character varying, 'REJECTED'::character varying, 'CANCELLED'::character varying, 'IN_KITCHEN'::character varying, 'READY'::character varying, 'COLLECTED'::character varying])::text[]))),
    CONSTRAINT ck_orders_total_not_negative CHECK ((total >= (0)::numeric)),
    CONSTRAINT ck_orders_version_of_status CHECK ((version =
CASE status
    WHEN 'PENDING'::text THEN 1
    WHEN 'STOCK_VERIFIED'::text THEN 2
    WHEN 'REJECTED'::text THEN 2
    WHEN 'CANCELLED'::text THEN 3
    WHEN 'IN_KITCHEN'::text THEN 3
    WHEN 'READY'::text THEN 4
    WHEN 'COLLECTED'::text THEN 5
    ELSE NULL::integer
END))
)
WITH (fillfactor='50');
ALTER TABLE gateway.orders OWNER TO cafeteria_owner;
CREATE TABLE gateway.outbox (
    id bigint NOT NULL,
    order_id uuid NOT NULL,
    version smallint NOT NULL,
    subject text NOT NULL,
    type_name text NOT NULL,
    message_id uuid NOT NULL,
    traceparent text,
    body bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE gateway.outbox OWNER TO cafeteria_owner;
ALTER TABLE gateway.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gateway.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE identity.alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE identity.alembic_version OWNER TO cafeteria_owner;
CREATE TABLE identity.login_attempts (
    id uuid NOT NULL,
    user_id uuid,
    attempted_at timestamp with time zone NOT NULL,
    success boolean NOT NULL,
    response_time_ms integer NOT NULL,
    student_id character varying NOT NULL,
    client_ip inet,
    outcome character varying NOT NULL,
    CONSTRAINT ck_login_attempts_outcome_known CHECK (((outcome)::text = ANY ((ARRAY['succeeded'::character varying, 'wrong_password'::character varying, 'unknown_user'::character varying, 'disabled'::character varying, 'throttled'::character varying])::text[]))),
    CONSTRAINT ck_login_attempts_response_time_not_negative CHECK ((response_time_ms >= 0)),
    CONSTRAINT ck_login_attempts_success_is_outcome CHECK ((success = ((outcome)::text = 'succeeded'::text)))
);
ALTER TABLE identity.login_attempts OWNER TO cafeteria_owner;
CREATE TABLE identity.login_windows (
    student_id character varying NOT NULL,
    started_at timestamp with time zone NOT NULL,
    attempts integer NOT NULL,
    last_attempt_at timestamp with time zone NOT NULL,
    clients jsonb NOT NULL,
    CONSTRAINT ck_login_windows_attempts_counted CHECK ((attempts >= 1)),
    CONSTRAINT ck_login_windows_clients_object CHECK ((jsonb_typeof(clients) = 'object'::text)),
    CONSTRAINT ck_login_windows_student_id_form CHECK (((student_id)::text ~ '^[A-Za-z0-9-]{1,32}$'::text))
);
ALTER TABLE identity.login_windows OWNER TO cafeteria_owner;
CREATE TABLE identity.refresh_tokens (
    id uuid NOT NULL,
    family uuid NOT NULL,
    user_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT ck_refresh_tokens_expires_later CHECK ((expires_at > created_at)),
    CONSTRAINT ck_refresh_tokens_revoked_on_first CHECK (((revoked_at IS NULL) OR (id = family))),
    CONSTRAINT ck_refresh_tokens_token_hash_sha256 CHECK ((octet_length(token_hash) = 32))
);
ALTER TABLE identity.refresh_tokens OWNER TO cafeteria_owner;
CREATE TABLE identity.users (
    id uuid NOT NULL,
    student_id character varying NOT NULL,
    password_hash character varying NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    full_name character varying,
    role character varying DEFAULT 'student'::character varying NOT NULL,
    disabled_at timestamp with time zone,
    CONSTRAINT ck_users_role_known CHECK (((role)::text = ANY ((ARRAY['student'::character varying, 'kitchen'::character varying, 'operator'::character varying])::text[]))),
    CONSTRAINT ck_users_student_id_form CHECK (((student_id)::text ~ '^[A-Za-z0-9-]{1,32}$'::text))
);
ALTER TABLE identity.users OWNER TO cafeteria_owner;
CREATE TABLE kitchen.alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE kitchen.alembic_version OWNER TO cafeteria_owner;
CREATE TABLE kitchen.dead_letters (
    id uuid NOT NULL,
    stream text NOT NULL,
    sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    message_id text,
    body bytea NOT NULL,
    error text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE kitchen.dead_letters OWNER TO cafeteria_owner;
CREATE TABLE kitchen.kitchen_orders (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    student_id character varying NOT NULL,
    status character varying NOT NULL,
    version smallint NOT NULL,
    lines jsonb NOT NULL,
    status_times jsonb NOT NULL,
    received_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    station smallint,
    due_at timestamp with time zone,
    completed_at timestamp with time zone,
    collected_at timestamp with time zone,
    gateway_version smallint DEFAULT 0 NOT NULL,
    notified_version smallint DEFAULT 0 NOT NULL,
    confirm_at timestamp with time zone,
    CONSTRAINT ck_kitchen_orders_station_of_status CHECK (((station IS NULL) OR (((status)::text = 'IN_KITCHEN'::text) AND (station > 0) AND (due_at IS NOT NULL)))),
    CONSTRAINT ck_kitchen_orders_status_known CHECK (((status)::text = ANY ((ARRAY['QUEUED'::character varying, 'IN_KITCHEN'::character varying, 'READY'::character varying, 'COLLECTED'::character varying, 'CANCELLED'::character varying])::text[]))),
    CONSTRAINT ck_kitchen_orders_times_of_status CHECK ((((started_at IS NOT NULL) = ((status)::text = ANY ((ARRAY['IN_KITCHEN'::character varying, 'READY'::character varying, 'COLLECTED'::character varying])::text[]))) AND ((completed_at IS NOT NULL) = ((status)::text = ANY ((ARRAY['READY'::character varying, 'COLLECTED'::character varying])::text[]))) AND ((collected_at IS NOT NULL) = ((status)::text = 'COLLECTED'::text)) AND ((due_at IS NULL) OR (started_at IS NOT NULL)))),
    CONSTRAINT ck_kitchen_orders_unconfirmed_is_watched CHECK (((version < 3) OR (confirm_at IS NOT NULL) OR ((gateway_version >= version) AND (notified_version >= version)))),
    CONSTRAINT ck_kitchen_orders_version_of_status CHECK ((version =
CASE status
    WHEN 'QUEUED'::text THEN 2
    WHEN 'IN_KITCHEN'::text THEN 3
    WHEN 'CANCELLED'::text THEN 3
    WHEN 'READY'::text THEN 4
    WHEN 'COLLECTED'::text THEN 5
    ELSE NULL::integer
END))
);
ALTER TABLE kitchen.kitchen_orders OWNER TO cafeteria_owner;
CREATE TABLE kitchen.order_status_history (
    id uuid NOT NULL,
    kitchen_order_id uuid NOT NULL,
    status character varying NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_order_status_history_status_known CHECK (((status)::text = ANY ((ARRAY['IN_KITCHEN'::character varying, 'READY'::character varying, 'COLLECTED'::character varying, 'CANCELLED'::character varying])::text[])))
);
ALTER TABLE kitchen.order_status_history OWNER TO cafeteria_owner;
CREATE TABLE kitchen.outbox (
    id bigint NOT NULL,
    order_id uuid NOT NULL,
    version smallint NOT NULL,
    subject text NOT NULL,
    type_name text NOT NULL,
    message_id uuid NOT NULL,
    traceparent text,
    body bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE kitchen.outbox OWNER TO cafeteria_owner;
ALTER TABLE kitchen.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME kitchen.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE notification.alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE notification.alembic_version OWNER TO cafeteria_owner;
CREATE TABLE notification.dead_letters (
    id uuid NOT NULL,
    stream text NOT NULL,
    sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    message_id text,
    body bytea NOT NULL,
    error text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE notification.dead_letters OWNER TO cafeteria_owner;
CREATE TABLE notification.notifications (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    student_id character varying NOT NULL,
    status_sent character varying NOT NULL,
    sent_at timestamp with time zone NOT NULL,
    version smallint NOT NULL,
    "position" bigint NOT NULL,
    delivered_at timestamp with time zone,
    status_at timestamp with time zone NOT NULL,
    reason character varying,
    CONSTRAINT ck_notifications_position_positive CHECK (("position" > 0)),
    CONSTRAINT ck_notifications_reason_known CHECK (((reason)::text = ANY ((ARRAY['OUT_OF_STOCK'::character varying, 'UNKNOWN_ITEM'::character varying, 'EXPIRED'::character varying])::text[]))),
    CONSTRAINT ck_notifications_status_known CHECK (((status_sent)::text = ANY ((ARRAY['PENDING'::character varying, 'STOCK_VERIFIED'::character varying, 'REJECTED'::character varying, 'CANCELLED'::character varying, 'IN_KITCHEN'::character varying, 'READY'::character varying, 'COLLECTED'::character varying])::text[]))),
    CONSTRAINT ck_notifications_version_of_status CHECK ((version =
CASE status_sent
    WHEN 'PENDING'::text THEN 1
    WHEN 'STOCK_VERIFIED'::text THEN 2
    WHEN 'REJECTED'::text THEN 2
    WHEN 'CANCELLED'::text THEN 3
    WHEN 'IN_KITCHEN'::text THEN 3
    WHEN 'READY'::text THEN 4
    WHEN 'COLLECTED'::text THEN 5
    ELSE NULL::integer
END))
)
WITH (fillfactor='50');
ALTER TABLE notification.notifications OWNER TO cafeteria_owner;
CREATE TABLE notification.open_orders (
    order_id uuid NOT NULL,
    student_id character varying NOT NULL
);
ALTER TABLE notification.open_orders OWNER TO cafeteria_owner;
CREATE TABLE notification.position_counter (
    id smallint NOT NULL,
    "position" bigint NOT NULL,
    stream_epoch character varying NOT NULL,
    stream_sequence bigint NOT NULL,
    CONSTRAINT ck_position_counter_one_row CHECK ((id = 1))
);
ALTER TABLE notification.position_counter OWNER TO cafeteria_owner;
CREATE SEQUENCE notification.position_counter_id_seq
    AS smallint
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE notification.position_counter_id_seq OWNER TO cafeteria_owner;
ALTER SEQUENCE notification.position_counter_id_seq OWNED BY notification.position_counter.id;
CREATE TABLE stock.alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE stock.alembic_version OWNER TO cafeteria_owner;
CREATE TABLE stock.inventory (
    id uuid NOT NULL,
    item_id uuid NOT NULL,
    quantity integer NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_inventory_quantity_not_negative CHECK ((quantity >= 0))
);
ALTER TABLE stock.inventory OWNER TO cafeteria_owner;
CREATE TABLE stock.items (
    id uuid NOT NULL,
    name character varying NOT NULL,
    price numeric(10,2) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    on_sale boolean DEFAULT true NOT NULL,
    CONSTRAINT ck_items_price_not_negative CHECK ((price >= (0)::numeric))
);
ALTER TABLE stock.items OWNER TO cafeteria_owner;
CREATE TABLE stock.reservations (
    order_id uuid NOT NULL,
    decision character varying NOT NULL,
    reason character varying,
    lines jsonb NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    released_at timestamp with time zone,
    CONSTRAINT ck_reservations_decision_known CHECK (((decision)::text = ANY ((ARRAY['RESERVED'::character varying, 'REJECTED'::character varying])::text[]))),
    CONSTRAINT ck_reservations_lines_of_reservations CHECK ((((decision)::text = 'REJECTED'::text) OR (jsonb_array_length(lines) > 0))),
    CONSTRAINT ck_reservations_reason_known CHECK (((reason)::text = ANY ((ARRAY['OUT_OF_STOCK'::character varying, 'UNKNOWN_ITEM'::character varying, 'EXPIRED'::character varying])::text[]))),
    CONSTRAINT ck_reservations_reason_of_refusals CHECK ((((decision)::text = 'REJECTED'::text) = (reason IS NOT NULL)))
);
ALTER TABLE stock.reservations OWNER TO cafeteria_owner;
CREATE TABLE stock.restocks (
    id uuid NOT NULL,
    item_id uuid NOT NULL,
    quantity integer NOT NULL,
    actor character varying NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_restocks_quantity_not_negative CHECK ((quantity >= 0))
);
ALTER TABLE stock.restocks OWNER TO cafeteria_owner;
CREATE TABLE stock.stock_transactions (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    item_id uuid NOT NULL,
    quantity_deducted integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    kind character varying NOT NULL,
    CONSTRAINT ck_stock_transactions_kind_known CHECK (((kind)::text = ANY ((ARRAY['DEDUCT'::character varying, 'RELEASE'::character varying])::text[]))),
    CONSTRAINT ck_stock_transactions_sign_of_kind CHECK (((quantity_deducted <> 0) AND (((kind)::text = 'DEDUCT'::text) = (quantity_deducted > 0))))
);
ALTER TABLE stock.stock_transactions OWNER TO cafeteria_owner;
ALTER TABLE ONLY notification.position_counter ALTER COLUMN id SET DEFAULT nextval('notification.position_counter_id_seq'::regclass);
INSERT INTO gateway.alembic_version VALUES
	('0001');
INSERT INTO gateway.dead_letters VALUES
	('01a22b73-584a-74c9-bab7-c59b5adaddab', 'NOTIFICATION', 16, '2026-11-30 07:55:09.24462+00', 'order.status.v1.kitchen', 'poison-2', 'no JSON', 'JSON is malformed: invalid character (byte 4)', '2026-11-30 07:55:09.265805+00'),
	('01a22b73-583e-7088-b3f0-ec5bd97f7818', 'NOTIFICATION', 15, '2026-11-30 07:55:09.243575+00', 'order.status.v1.kitchen', 'poison-1', 'no JSON', 'JSON is malformed: invalid character (byte 4)', '2026-11-30 07:55:09.258333+00');
INSERT INTO gateway.idempotency_keys VALUES
	('01a22b73-53d5-728d-8f21-89bf249aa757', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101:collected', '{"id": "01a22b73-53d4-72a4-8c17-4a0793d4cd5e", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}], "total": "140.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:08.116763Z"}', '2026-11-30 07:55:08.116763+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', 201, '{"id":"01a22b73-53d4-72a4-8c17-4a0793d4cd5e","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"total":"140.00","created_at":"2026-11-30T07:55:08.116763Z","reason":null}'),
	('01a22b73-5445-7141-91db-17ad622a1f26', '01a22b73-5443-71ec-8bcb-c8d2adf7273c', '210041102:ready', '{"id": "01a22b73-5443-71ec-8bcb-c8d2adf7273c", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 2, "unit_price": "140.00"}], "total": "280.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:08.227702Z"}', '2026-11-30 07:55:08.227702+00', '\020\255\251\352\320\342(n4\354\221\373\314\032\251.\211\015R\3327\271[\367\350O\320\020\273=\231\376', 201, '{"id":"01a22b73-5443-71ec-8bcb-c8d2adf7273c","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":2,"unit_price":"140.00"}],"total":"280.00","created_at":"2026-11-30T07:55:08.227702Z","reason":null}'),
	('01a22b73-5545-7473-a764-a2577409232f', '01a22b73-5543-701a-b859-12a440483c18', '210041101:collected-unsent', '{"id": "01a22b73-5543-701a-b859-12a440483c18", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}], "total": "140.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:08.483755Z"}', '2026-11-30 07:55:08.483755+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', 201, '{"id":"01a22b73-5543-701a-b859-12a440483c18","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"total":"140.00","created_at":"2026-11-30T07:55:08.483755Z","reason":null}'),
	('01a22b73-559a-75a6-a87f-1a397cbacc70', '01a22b73-5599-7443-b5fa-4d4436a46e3f', '210041102:last-portion-1', '{"id": "01a22b73-5599-7443-b5fa-4d4436a46e3f", "lines": [{"name": "Last Portion", "item_id": "01a22b73-5366-73d6-9d23-e2dd419a4216", "quantity": 1, "unit_price": "12.50"}], "total": "12.50", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:08.569525Z"}', '2026-11-30 07:55:08.569525+00', '\347`\213\211C\023Me<g\367\376Lb\3051\273#\325\260\011\003\246\027\330\213\264\263uX\364\026', 201, '{"id":"01a22b73-5599-7443-b5fa-4d4436a46e3f","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-5366-73d6-9d23-e2dd419a4216","name":"Last Portion","quantity":1,"unit_price":"12.50"}],"total":"12.50","created_at":"2026-11-30T07:55:08.569525Z","reason":null}'),
	('01a22b73-6337-772c-8111-2053beaa3277', '01a22b73-6336-7740-9d44-44e6f03c0892', '210041101:queued', '{"id": "01a22b73-6336-7740-9d44-44e6f03c0892", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}], "total": "140.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:12.054746Z"}', '2026-11-30 07:55:12.054746+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', 201, '{"id":"01a22b73-6336-7740-9d44-44e6f03c0892","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"total":"140.00","created_at":"2026-11-30T07:55:12.054746Z","reason":null}'),
	('01a22b73-55a6-7527-92d0-5bd08311fb1a', '01a22b73-559c-7074-b784-3d8f3582b7db', '210041101:last-portion-2', '{"type": "/problems/out-of-stock", "title": "Out of stock", "detail": "There are not enough portions left for this order, so nothing was taken. Order fewer portions or another dish.", "status": 409, "item_ids": ["01a22b73-5366-73d6-9d23-e2dd419a4216"], "order_id": "01a22b73-559c-7074-b784-3d8f3582b7db"}', '2026-11-30 07:55:08.572126+00', '\347`\213\211C\023Me<g\367\376Lb\3051\273#\325\260\011\003\246\027\330\213\264\263uX\364\026', 409, '{"type":"/problems/out-of-stock","title":"Out of stock","status":409,"detail":"There are not enough portions left for this order, so nothing was taken. Order fewer portions or another dish.","item_ids":["01a22b73-5366-73d6-9d23-e2dd419a4216"],"order_id":"01a22b73-559c-7074-b784-3d8f3582b7db"}'),
	('01a22b73-62c8-731e-ad1b-b850b8624d13', '01a22b73-62c7-7214-9bcb-6366651cb69d', '210041102:cooking', '{"id": "01a22b73-62c7-7214-9bcb-6366651cb69d", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}], "total": "140.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:11.943388Z"}', '2026-11-30 07:55:11.943388+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', 201, '{"id":"01a22b73-62c7-7214-9bcb-6366651cb69d","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"total":"140.00","created_at":"2026-11-30T07:55:11.943388Z","reason":null}'),
	('01a22b73-63a4-71c6-b69b-e34c22a0e519', '01a22b73-63a3-722a-8586-c1d55bbdc1c8', '210041101:cancelled-unreleased', '{"id": "01a22b73-63a3-722a-8586-c1d55bbdc1c8", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}], "total": "140.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:12.163900Z"}', '2026-11-30 07:55:12.1639+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', 201, '{"id":"01a22b73-63a3-722a-8586-c1d55bbdc1c8","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"total":"140.00","created_at":"2026-11-30T07:55:12.163900Z","reason":null}'),
	('01a22b73-6373-7102-8f62-226628d3f6eb', '01a22b73-6372-7564-aaf1-260094fe3d2e', '210041102:cancelled', '{"id": "01a22b73-6372-7564-aaf1-260094fe3d2e", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}], "total": "140.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:12.114833Z"}', '2026-11-30 07:55:12.114833+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', 201, '{"id":"01a22b73-6372-7564-aaf1-260094fe3d2e","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"total":"140.00","created_at":"2026-11-30T07:55:12.114833Z","reason":null}'),
	('01a22b73-64fd-7059-ac69-9e7843276336', '01a22b73-64fc-7280-9a48-f7c15ca1cb64', '210041102:unread', '{"id": "01a22b73-64fc-7280-9a48-f7c15ca1cb64", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 3, "unit_price": "140.00"}], "total": "420.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:12.508096Z"}', '2026-11-30 07:55:12.508096+00', '\037\235XY\011\261\260P%\361\315\2575\264,\020\252\000\336\0218\337\302\227\310f;}|U\005T', 201, '{"id":"01a22b73-64fc-7280-9a48-f7c15ca1cb64","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":3,"unit_price":"140.00"}],"total":"420.00","created_at":"2026-11-30T07:55:12.508096Z","reason":null}'),
	('01a22b73-6567-74de-a2da-d4aea0ed8434', '01a22b73-6566-7207-9d67-7c75a33c8d4a', '210041102:decided', '{"id": "01a22b73-6566-7207-9d67-7c75a33c8d4a", "lines": [{"name": null, "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": null}], "total": null, "reason": null, "status": "PENDING", "version": 1, "created_at": "2026-11-30T07:55:12.614105Z"}', '2026-11-30 07:55:12.614105+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', NULL, NULL),
	('01a22b73-6539-72e5-bfb0-ef39096ae460', '01a22b73-6538-70ba-8d20-dc77cdd8981c', '210041101:unsent', '{"id": "01a22b73-6538-70ba-8d20-dc77cdd8981c", "lines": [{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}], "total": "140.00", "reason": null, "status": "STOCK_VERIFIED", "version": 2, "created_at": "2026-11-30T07:55:12.568352Z"}', '2026-11-30 07:55:12.568352+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', 201, '{"id":"01a22b73-6538-70ba-8d20-dc77cdd8981c","status":"STOCK_VERIFIED","version":2,"lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"total":"140.00","created_at":"2026-11-30T07:55:12.568352Z","reason":null}'),
	('01a22b73-879d-7112-87af-fafcc9e29912', '01a22b73-879d-7112-87af-fafbab9f2fb1', '210041101:undecided', '{"id": "01a22b73-879d-7112-87af-fafbab9f2fb1", "lines": [{"name": null, "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": null}], "total": null, "reason": null, "status": "PENDING", "version": 1, "created_at": "2026-11-30T07:55:21.373152Z"}', '2026-11-30 07:55:21.373152+00', '\376(\321H\265\3321Xv\374!\204\301_#\214\233Y\255n\372R\275(\3578F\221''\340\243d', NULL, NULL);
INSERT INTO gateway.orders VALUES
	('01a22b73-559c-7074-b784-3d8f3582b7db', '210041101', 'REJECTED', '2026-11-30 07:55:08.572126+00', '2026-11-30 07:55:08.620976+00', '[{"name": null, "item_id": "01a22b73-5366-73d6-9d23-e2dd419a4216", "quantity": 1, "unit_price": null}]', NULL, 2, '2026-11-30 07:56:08.572126+00', NULL, '2026-11-30 07:55:13.620976+00', 'OUT_OF_STOCK', '{"PENDING": "2026-11-30T07:55:08.572126Z", "REJECTED": "2026-11-30T07:55:08.620976+00:00"}', NULL, 0, NULL),
	('01a22b73-5599-7443-b5fa-4d4436a46e3f', '210041102', 'READY', '2026-11-30 07:55:08.569525+00', '2026-11-30 07:55:09.184886+00', '[{"name": "Last Portion", "item_id": "01a22b73-5366-73d6-9d23-e2dd419a4216", "quantity": 1, "unit_price": "12.50"}]', 12.50, 4, '2026-11-30 07:56:08.569525+00', NULL, '2026-11-30 07:55:13.605078+00', NULL, '{"READY": "2026-11-30T07:55:09.175848Z", "PENDING": "2026-11-30T07:55:08.569525Z", "IN_KITCHEN": "2026-11-30T07:55:08.972276Z", "STOCK_VERIFIED": "2026-11-30T07:55:08.605078+00:00"}', '2026-11-30 07:55:08.982991+00', 0, NULL),
	('01a22b73-5443-71ec-8bcb-c8d2adf7273c', '210041102', 'READY', '2026-11-30 07:55:08.227702+00', '2026-11-30 07:55:08.780237+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 2, "unit_price": "140.00"}]', 280.00, 4, '2026-11-30 07:56:08.227702+00', NULL, '2026-11-30 07:55:13.384302+00', NULL, '{"READY": "2026-11-30T07:55:08.768763Z", "PENDING": "2026-11-30T07:55:08.227702Z", "IN_KITCHEN": "2026-11-30T07:55:08.565659Z", "STOCK_VERIFIED": "2026-11-30T07:55:08.384302+00:00"}', '2026-11-30 07:55:08.599487+00', 0, NULL),
	('01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101', 'COLLECTED', '2026-11-30 07:55:08.116763+00', '2026-11-30 07:55:09.224111+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', 140.00, 5, '2026-11-30 07:56:08.116763+00', NULL, '2026-11-30 07:55:13.187798+00', NULL, '{"READY": "2026-11-30T07:55:08.565659Z", "PENDING": "2026-11-30T07:55:08.116763Z", "COLLECTED": "2026-11-30T07:55:09.208788Z", "IN_KITCHEN": "2026-11-30T07:55:08.354238Z", "STOCK_VERIFIED": "2026-11-30T07:55:08.187798+00:00"}', '2026-11-30 07:55:08.404047+00', 0, NULL),
	('01a22b73-5543-701a-b859-12a440483c18', '210041101', 'READY', '2026-11-30 07:55:08.483755+00', '2026-11-30 07:55:08.982991+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', 140.00, 4, '2026-11-30 07:56:08.483755+00', NULL, '2026-11-30 07:55:13.531728+00', NULL, '{"READY": "2026-11-30T07:55:08.972276Z", "PENDING": "2026-11-30T07:55:08.483755Z", "IN_KITCHEN": "2026-11-30T07:55:08.768763Z", "STOCK_VERIFIED": "2026-11-30T07:55:08.531728+00:00"}', '2026-11-30 07:55:08.780237+00', 0, NULL),
	('01a22b73-6336-7740-9d44-44e6f03c0892', '210041101', 'STOCK_VERIFIED', '2026-11-30 07:55:12.054746+00', '2026-11-30 07:55:12.07314+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', 140.00, 2, '2026-11-30 07:56:12.054746+00', NULL, '2026-11-30 07:55:17.07314+00', NULL, '{"PENDING": "2026-11-30T07:55:12.054746Z", "STOCK_VERIFIED": "2026-11-30T07:55:12.073140+00:00"}', NULL, 0, NULL),
	('01a22b73-62c7-7214-9bcb-6366651cb69d', '210041102', 'IN_KITCHEN', '2026-11-30 07:55:11.943388+00', '2026-11-30 07:55:12.042077+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', 140.00, 3, '2026-11-30 07:56:11.943388+00', NULL, '2026-11-30 07:55:16.971057+00', NULL, '{"PENDING": "2026-11-30T07:55:11.943388Z", "IN_KITCHEN": "2026-11-30T07:55:12.018129Z", "STOCK_VERIFIED": "2026-11-30T07:55:11.971057+00:00"}', '2026-11-30 07:55:12.042077+00', 0, NULL),
	('01a22b73-6372-7564-aaf1-260094fe3d2e', '210041102', 'CANCELLED', '2026-11-30 07:55:12.114833+00', '2026-11-30 07:55:12.235367+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', 140.00, 3, '2026-11-30 07:56:12.114833+00', NULL, '2026-11-30 07:55:17.129597+00', NULL, '{"PENDING": "2026-11-30T07:55:12.114833Z", "CANCELLED": "2026-11-30T07:55:12.224740Z", "STOCK_VERIFIED": "2026-11-30T07:55:12.129597+00:00"}', '2026-11-30 07:55:12.235367+00', 0, '2026-11-30 07:55:12.264572+00'),
	('01a22b73-63a3-722a-8586-c1d55bbdc1c8', '210041101', 'CANCELLED', '2026-11-30 07:55:12.1639+00', '2026-11-30 07:55:12.41459+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', 140.00, 3, '2026-11-30 07:56:12.1639+00', NULL, '2026-11-30 07:55:17.180555+00', NULL, '{"PENDING": "2026-11-30T07:55:12.163900Z", "CANCELLED": "2026-11-30T07:55:12.400432Z", "STOCK_VERIFIED": "2026-11-30T07:55:12.180555+00:00"}', '2026-11-30 07:55:12.41459+00', 0, '2026-11-30 07:55:12.433023+00'),
	('01a22b73-64fc-7280-9a48-f7c15ca1cb64', '210041102', 'STOCK_VERIFIED', '2026-11-30 07:55:12.508096+00', '2026-11-30 07:55:12.532823+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 3, "unit_price": "140.00"}]', 420.00, 2, '2026-11-30 07:56:12.508096+00', NULL, '2026-11-30 07:55:17.532823+00', NULL, '{"PENDING": "2026-11-30T07:55:12.508096Z", "STOCK_VERIFIED": "2026-11-30T07:55:12.532823+00:00"}', NULL, 0, NULL),
	('01a22b73-6538-70ba-8d20-dc77cdd8981c', '210041101', 'STOCK_VERIFIED', '2026-11-30 07:55:12.568352+00', '2026-11-30 07:55:12.583301+00', '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', 140.00, 2, '2026-11-30 07:56:12.568352+00', NULL, '2026-11-30 07:55:17.583301+00', NULL, '{"PENDING": "2026-11-30T07:55:12.568352Z", "STOCK_VERIFIED": "2026-11-30T07:55:12.583301+00:00"}', NULL, 0, NULL),
	('01a22b73-6566-7207-9d67-7c75a33c8d4a', '210041102', 'PENDING', '2026-11-30 07:55:12.614105+00', '2026-11-30 07:55:12.614105+00', '[{"name": null, "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": null}]', NULL, 1, '2026-11-30 07:56:12.614105+00', '2026-11-30 07:55:21.686034+00', '2026-11-30 07:55:21.57827+00', NULL, '{"PENDING": "2026-11-30T07:55:12.614105Z"}', NULL, 0, NULL),
	('01a22b73-879d-7112-87af-fafbab9f2fb1', '210041101', 'PENDING', '2026-11-30 07:55:21.373152+00', '2026-11-30 07:55:21.373152+00', '[{"name": null, "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": null}]', NULL, 1, '2026-11-30 07:56:21.373152+00', '2026-11-30 07:55:23.373152+00', NULL, NULL, '{"PENDING": "2026-11-30T07:55:21.373152Z"}', NULL, 0, NULL);
INSERT INTO gateway.outbox OVERRIDING SYSTEM VALUE VALUES
	(20, '01a22b73-6538-70ba-8d20-dc77cdd8981c', 2, 'order.status.v1.gateway', 'order.status-changed.v1', '01a22b73-6547-7326-9f2e-b2a065404aad', '00-2f1cd56cf108ec7fb4a7bd6bfd70f827-9059fa5db6251683-01', '{"order_id":"01a22b73-6538-70ba-8d20-dc77cdd8981c","student_id":"210041101","status":"STOCK_VERIFIED","version":2,"at":"2026-11-30T07:55:12.583301Z","earlier":[{"status":"PENDING","version":1,"at":"2026-11-30T07:55:12.568352Z"}],"reason":null}', '2026-11-30 07:55:12.585541+00'),
	(21, '01a22b73-6538-70ba-8d20-dc77cdd8981c', 2, 'kitchen.work.v1.placed', 'kitchen.cook-order.v1', '01a22b73-6547-7326-9f2e-b2a14a91173d', '00-2f1cd56cf108ec7fb4a7bd6bfd70f827-9059fa5db6251683-01', '{"order_id":"01a22b73-6538-70ba-8d20-dc77cdd8981c","student_id":"210041101","lines":[{"item_id":"01a22b73-24cf-7358-abef-eeacf08fc39c","name":"Chicken Biryani","quantity":1,"unit_price":"140.00"}],"version":2,"earlier":[{"status":"PENDING","version":1,"at":"2026-11-30T07:55:12.568352Z"},{"status":"STOCK_VERIFIED","version":2,"at":"2026-11-30T07:55:12.583301Z"}]}', '2026-11-30 07:55:12.585541+00'),
	(22, '01a22b73-6566-7207-9d67-7c75a33c8d4a', 1, 'order.status.v1.gateway', 'order.status-changed.v1', '01a22b73-7503-774e-a5ff-fdba04ec421f', NULL, '{"order_id":"01a22b73-6566-7207-9d67-7c75a33c8d4a","student_id":"210041102","status":"PENDING","version":1,"at":"2026-11-30T07:55:12.614105Z","earlier":[],"reason":null}', '2026-11-30 07:55:16.580823+00');
INSERT INTO identity.alembic_version VALUES
	('0001');
INSERT INTO identity.login_attempts VALUES
	('01a22b73-528d-73b6-a1c9-fc9c3aed5ca7', '01a22b73-2449-70d2-87f2-be7b24a4737c', '2026-11-30 07:55:07.704378+00', true, 85, '210041101', '127.0.0.1', 'succeeded'),
	('01a22b73-52ca-71d0-9af4-7d88db5565f8', '01a22b73-244a-70a8-88e8-5a0c071a0369', '2026-11-30 07:55:07.802419+00', true, 48, '210041102', '127.0.0.1', 'succeeded'),
	('01a22b73-530e-72c8-a7a6-4e4801f5a6e0', '01a22b73-249d-71f6-9095-461567f00e71', '2026-11-30 07:55:07.85572+00', true, 63, 'kitchen-1', '127.0.0.1', 'succeeded'),
	('01a22b73-5346-705a-a875-7f015c837f00', '01a22b73-24cc-7368-8b62-f8de6dfdbcc9', '2026-11-30 07:55:07.924565+00', true, 50, 'operator-1', '127.0.0.1', 'succeeded');
INSERT INTO identity.login_windows VALUES
	('210041101', '2026-11-30 07:55:07.704378+00', 1, '2026-11-30 07:55:07.704378+00', '{"127.0.0.1": {"since": "2026-11-30T07:55:07.704378+00:00", "attempts": 1}}'),
	('210041102', '2026-11-30 07:55:07.802419+00', 1, '2026-11-30 07:55:07.802419+00', '{"127.0.0.1": {"since": "2026-11-30T07:55:07.802419+00:00", "attempts": 1}}'),
	('kitchen-1', '2026-11-30 07:55:07.85572+00', 1, '2026-11-30 07:55:07.85572+00', '{"127.0.0.1": {"since": "2026-11-30T07:55:07.85572+00:00", "attempts": 1}}'),
	('operator-1', '2026-11-30 07:55:07.924565+00', 1, '2026-11-30 07:55:07.924565+00', '{"127.0.0.1": {"since": "2026-11-30T07:55:07.924565+00:00", "attempts": 1}}');
INSERT INTO identity.refresh_tokens VALUES
	('01a22b73-528c-73f0-a788-04d91abdb4cb', '01a22b73-528c-73f0-a788-04d91abdb4cb', '01a22b73-2449-70d2-87f2-be7b24a4737c', '(t\374rT\342\330LO\314\260m\236#Zu\252\007\257\237S\277\244\031T\337y*\377\215\362W', '2026-11-30 07:55:07.704378+00', '2026-12-30 07:55:07.704378+00', NULL, NULL),
	('01a22b73-530d-72e0-b792-2801682489ed', '01a22b73-530d-72e0-b792-2801682489ed', '01a22b73-249d-71f6-9095-461567f00e71', '\031{g\210$\234\364\375^\270\177\264N\274d^\257D\014CFv\356Ks\017\367\342\204J\275\027', '2026-11-30 07:55:07.85572+00', '2026-12-30 07:55:07.85572+00', NULL, NULL),
	('01a22b73-5346-705a-a875-7f0055c4ffb9', '01a22b73-5346-705a-a875-7f0055c4ffb9', '01a22b73-24cc-7368-8b62-f8de6dfdbcc9', '\356\311:\223\366\252\352\310AYP`\224\020\340+X\211\322(\343\004\335\345\355t\224Q`}\034\002', '2026-11-30 07:55:07.924565+00', '2026-12-30 07:55:07.924565+00', NULL, NULL),
	('01a22b73-52c9-70ee-a00f-247141f8b540', '01a22b73-52c9-70ee-a00f-247141f8b540', '01a22b73-244a-70a8-88e8-5a0c071a0369', '0\220!l\364\000H*\021\021''\033qa>#DFY\346l\356\226\223E''\006\311\206\211\275\367', '2026-11-30 07:55:07.802419+00', '2026-12-30 07:55:07.802419+00', '2026-11-30 07:55:07.990043+00', NULL),
	('01a22b73-5354-76dd-a575-340864ee3b86', '01a22b73-52c9-70ee-a00f-247141f8b540', '01a22b73-244a-70a8-88e8-5a0c071a0369', 'O\015?@E\240\3467\211\006\342B\242\325T\223\377\324\033\305=M\315\336]\355[v\022\343\251\367', '2026-11-30 07:55:07.982916+00', '2026-12-30 07:55:07.802419+00', NULL, NULL);
INSERT INTO identity.users VALUES
	('01a22b73-2449-70d2-87f2-be7b24a4737c', '210041101', '$argon2id$v=19$m=19456,t=2,p=1$URkspg4uRu6woVNmhw6TGw$4G57+B2mAf4hF79bhuAj8UFIs47KEYkQyJxh93sEZa4', '2026-11-30 07:54:55.945877+00', '2026-11-30 07:54:55.945877+00', NULL, 'student', NULL),
	('01a22b73-244a-70a8-88e8-5a0c071a0369', '210041102', '$argon2id$v=19$m=19456,t=2,p=1$URkspg4uRu6woVNmhw6TGw$4G57+B2mAf4hF79bhuAj8UFIs47KEYkQyJxh93sEZa4', '2026-11-30 07:54:55.945877+00', '2026-11-30 07:54:55.945877+00', NULL, 'student', NULL),
	('01a22b73-249d-71f6-9095-461567f00e71', 'kitchen-1', '$argon2id$v=19$m=19456,t=2,p=1$qfDYCK6qtTb8sew3i6uFUg$lrUeDhbUWxQgd0EnPqwY3T+lM0NpIi94hdKlFc/iKpo', '2026-11-30 07:54:56.029853+00', '2026-11-30 07:54:56.029853+00', NULL, 'kitchen', NULL),
	('01a22b73-24cc-7368-8b62-f8de6dfdbcc9', 'operator-1', '$argon2id$v=19$m=19456,t=2,p=1$zbqSIzsi+CA3HfA5KhCDwQ$fFXbFdOvh+I9PHRgeBaLUGH4z1cJ2Z567sKvLxIrzLY', '2026-11-30 07:54:56.076924+00', '2026-11-30 07:54:56.076924+00', NULL, 'operator', NULL);
INSERT INTO kitchen.alembic_version VALUES
	('0001');
INSERT INTO kitchen.dead_letters VALUES
	('01a22b73-5842-7061-bf84-87a12062a9d0', 'KITCHEN', 5, '2026-11-30 07:55:09.243587+00', 'kitchen.work.v1.placed', 'poison-1', 'no JSON', 'JSON is malformed: invalid character (byte 4)', '2026-11-30 07:55:09.263118+00'),
	('01a22b73-584f-74bb-8d1b-a1fcd97abec5', 'KITCHEN', 6, '2026-11-30 07:55:09.244438+00', 'kitchen.work.v1.placed', 'poison-2', 'no JSON', 'JSON is malformed: invalid character (byte 4)', '2026-11-30 07:55:09.273408+00');
INSERT INTO kitchen.kitchen_orders VALUES
	('01a22b73-554d-75d2-a1d1-4ac5f7758a6c', '01a22b73-5443-71ec-8bcb-c8d2adf7273c', '210041102', 'READY', 4, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 2, "unit_price": "140.00"}]', '[{"at": "2026-11-30T07:55:08.227702Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:08.384302Z", "status": "STOCK_VERIFIED", "version": 2}, {"at": "2026-11-30T07:55:08.565659Z", "status": "IN_KITCHEN", "version": 3}, {"at": "2026-11-30T07:55:08.768763Z", "status": "READY", "version": 4}]', '2026-11-30 07:55:08.493241+00', '2026-11-30 07:55:08.565659+00', NULL, '2026-11-30 07:55:08.765659+00', '2026-11-30 07:55:08.768763+00', NULL, 0, 0, '2026-11-30 07:55:13.768763+00'),
	('01a22b73-55d9-766d-b737-786105db25a0', '01a22b73-5599-7443-b5fa-4d4436a46e3f', '210041102', 'READY', 4, '[{"name": "Last Portion", "item_id": "01a22b73-5366-73d6-9d23-e2dd419a4216", "quantity": 1, "unit_price": "12.50"}]', '[{"at": "2026-11-30T07:55:08.569525Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:08.605078Z", "status": "STOCK_VERIFIED", "version": 2}, {"at": "2026-11-30T07:55:08.972276Z", "status": "IN_KITCHEN", "version": 3}, {"at": "2026-11-30T07:55:09.175848Z", "status": "READY", "version": 4}]', '2026-11-30 07:55:08.63377+00', '2026-11-30 07:55:08.972276+00', NULL, '2026-11-30 07:55:09.172276+00', '2026-11-30 07:55:09.175848+00', NULL, 0, 0, '2026-11-30 07:55:14.175848+00'),
	('01a22b73-5463-7759-80ae-5e0ae08237c7', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101', 'COLLECTED', 5, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '[{"at": "2026-11-30T07:55:08.116763Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:08.187798Z", "status": "STOCK_VERIFIED", "version": 2}, {"at": "2026-11-30T07:55:08.354238Z", "status": "IN_KITCHEN", "version": 3}, {"at": "2026-11-30T07:55:08.565659Z", "status": "READY", "version": 4}, {"at": "2026-11-30T07:55:09.208788Z", "status": "COLLECTED", "version": 5}]', '2026-11-30 07:55:08.259556+00', '2026-11-30 07:55:08.354238+00', NULL, '2026-11-30 07:55:08.554238+00', '2026-11-30 07:55:08.565659+00', '2026-11-30 07:55:09.208788+00', 0, 0, '2026-11-30 07:55:14.208788+00'),
	('01a22b73-62f7-76fe-8070-ccbaed022617', '01a22b73-62c7-7214-9bcb-6366651cb69d', '210041102', 'IN_KITCHEN', 3, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '[{"at": "2026-11-30T07:55:11.943388Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:11.971057Z", "status": "STOCK_VERIFIED", "version": 2}, {"at": "2026-11-30T07:55:12.018129Z", "status": "IN_KITCHEN", "version": 3}]', '2026-11-30 07:55:11.991242+00', '2026-11-30 07:55:12.018129+00', 1, '2026-11-30 07:56:42.018129+00', NULL, NULL, 0, 0, '2026-11-30 07:55:17.018129+00'),
	('01a22b73-6357-7125-8d92-1314bb41ed35', '01a22b73-6336-7740-9d44-44e6f03c0892', '210041101', 'QUEUED', 2, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '[{"at": "2026-11-30T07:55:12.054746Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:12.073140Z", "status": "STOCK_VERIFIED", "version": 2}]', '2026-11-30 07:55:12.087816+00', NULL, NULL, NULL, NULL, NULL, 0, 0, NULL),
	('01a22b73-6395-70d8-b7da-df3ca65e0dc4', '01a22b73-6372-7564-aaf1-260094fe3d2e', '210041102', 'CANCELLED', 3, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '[{"at": "2026-11-30T07:55:12.114833Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:12.129597Z", "status": "STOCK_VERIFIED", "version": 2}, {"at": "2026-11-30T07:55:12.224740Z", "status": "CANCELLED", "version": 3}]', '2026-11-30 07:55:12.149306+00', NULL, NULL, NULL, NULL, NULL, 0, 0, '2026-11-30 07:55:17.22474+00'),
	('01a22b73-5596-714c-9e92-0afd64942d57', '01a22b73-5543-701a-b859-12a440483c18', '210041101', 'COLLECTED', 5, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '[{"at": "2026-11-30T07:55:08.483755Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:08.531728Z", "status": "STOCK_VERIFIED", "version": 2}, {"at": "2026-11-30T07:55:08.768763Z", "status": "IN_KITCHEN", "version": 3}, {"at": "2026-11-30T07:55:08.972276Z", "status": "READY", "version": 4}, {"at": "2026-11-30T07:55:12.353229Z", "status": "COLLECTED", "version": 5}]', '2026-11-30 07:55:08.566839+00', '2026-11-30 07:55:08.768763+00', NULL, '2026-11-30 07:55:08.968763+00', '2026-11-30 07:55:08.972276+00', '2026-11-30 07:55:12.353229+00', 0, 0, '2026-11-30 07:55:17.353229+00'),
	('01a22b73-63c5-7510-8251-f17c3cf7038c', '01a22b73-63a3-722a-8586-c1d55bbdc1c8', '210041101', 'CANCELLED', 3, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '[{"at": "2026-11-30T07:55:12.163900Z", "status": "PENDING", "version": 1}, {"at": "2026-11-30T07:55:12.180555Z", "status": "STOCK_VERIFIED", "version": 2}, {"at": "2026-11-30T07:55:12.400432Z", "status": "CANCELLED", "version": 3}]', '2026-11-30 07:55:12.197574+00', NULL, NULL, NULL, NULL, NULL, 0, 0, '2026-11-30 07:55:17.400432+00');
INSERT INTO kitchen.order_status_history VALUES
	('01a22b73-54c2-745d-b324-4ba9a1d5260c', '01a22b73-5463-7759-80ae-5e0ae08237c7', 'IN_KITCHEN', '2026-11-30 07:55:08.354238+00'),
	('01a22b73-5596-714c-9e92-0afba4761809', '01a22b73-5463-7759-80ae-5e0ae08237c7', 'READY', '2026-11-30 07:55:08.565659+00'),
	('01a22b73-5596-714c-9e92-0afc1c106726', '01a22b73-554d-75d2-a1d1-4ac5f7758a6c', 'IN_KITCHEN', '2026-11-30 07:55:08.565659+00'),
	('01a22b73-5661-727a-b663-0c7258d2400e', '01a22b73-554d-75d2-a1d1-4ac5f7758a6c', 'READY', '2026-11-30 07:55:08.768763+00'),
	('01a22b73-5661-727a-b663-0c736b602522', '01a22b73-5596-714c-9e92-0afd64942d57', 'IN_KITCHEN', '2026-11-30 07:55:08.768763+00'),
	('01a22b73-572c-7281-9002-6acd7428129a', '01a22b73-5596-714c-9e92-0afd64942d57', 'READY', '2026-11-30 07:55:08.972276+00'),
	('01a22b73-572c-7281-9002-6ace62e62f63', '01a22b73-55d9-766d-b737-786105db25a0', 'IN_KITCHEN', '2026-11-30 07:55:08.972276+00'),
	('01a22b73-57f8-71bd-9847-617fffdbec6b', '01a22b73-55d9-766d-b737-786105db25a0', 'READY', '2026-11-30 07:55:09.175848+00'),
	('01a22b73-5818-7174-a874-9d66b3bb0f8b', '01a22b73-5463-7759-80ae-5e0ae08237c7', 'COLLECTED', '2026-11-30 07:55:09.208788+00'),
	('01a22b73-6312-77a3-80ff-f75b4a1d9dd5', '01a22b73-62f7-76fe-8070-ccbaed022617', 'IN_KITCHEN', '2026-11-30 07:55:12.018129+00'),
	('01a22b73-63e4-731f-b1f1-423a7ecb3c56', '01a22b73-6395-70d8-b7da-df3ca65e0dc4', 'CANCELLED', '2026-11-30 07:55:12.22474+00'),
	('01a22b73-6461-7603-a661-72df1e50d38a', '01a22b73-5596-714c-9e92-0afd64942d57', 'COLLECTED', '2026-11-30 07:55:12.353229+00'),
	('01a22b73-6495-7736-ac3c-ab7c8466f41e', '01a22b73-63c5-7510-8251-f17c3cf7038c', 'CANCELLED', '2026-11-30 07:55:12.400432+00');
INSERT INTO kitchen.outbox OVERRIDING SYSTEM VALUE VALUES
	(12, '01a22b73-5543-701a-b859-12a440483c18', 5, 'order.status.v1.kitchen', 'order.status-changed.v1', '01a22b73-6461-7603-a661-72def41edd9c', '00-6c0660f16148bed7bdb1d23441577344-eb5d5f381df0195f-01', '{"order_id":"01a22b73-5543-701a-b859-12a440483c18","student_id":"210041101","status":"COLLECTED","version":5,"at":"2026-11-30T07:55:12.353229Z","earlier":[{"status":"PENDING","version":1,"at":"2026-11-30T07:55:08.483755Z"},{"status":"STOCK_VERIFIED","version":2,"at":"2026-11-30T07:55:08.531728Z"},{"status":"IN_KITCHEN","version":3,"at":"2026-11-30T07:55:08.768763Z"},{"status":"READY","version":4,"at":"2026-11-30T07:55:08.972276Z"}],"reason":null}', '2026-11-30 07:55:12.351324+00'),
	(13, '01a22b73-63a3-722a-8586-c1d55bbdc1c8', 3, 'order.status.v1.kitchen', 'order.status-changed.v1', '01a22b73-6495-7736-ac3c-ab7bf8df208f', NULL, '{"order_id":"01a22b73-63a3-722a-8586-c1d55bbdc1c8","student_id":"210041101","status":"CANCELLED","version":3,"at":"2026-11-30T07:55:12.400432Z","earlier":[{"status":"PENDING","version":1,"at":"2026-11-30T07:55:12.163900Z"},{"status":"STOCK_VERIFIED","version":2,"at":"2026-11-30T07:55:12.180555Z"}],"reason":null}', '2026-11-30 07:55:12.40163+00');
INSERT INTO notification.alembic_version VALUES
	('0001');
INSERT INTO notification.dead_letters VALUES
	('01a22b73-5841-70ee-a2fa-745d1d739129', 'NOTIFICATION', 15, '2026-11-30 07:55:09.243575+00', 'order.status.v1.kitchen', 'poison-1', 'no JSON', 'JSON is malformed: invalid character (byte 4)', '2026-11-30 07:55:09.262425+00'),
	('01a22b73-5857-74cd-ba09-1e126c8c7d0b', 'NOTIFICATION', 16, '2026-11-30 07:55:09.24462+00', 'order.status.v1.kitchen', 'poison-2', 'no JSON', 'JSON is malformed: invalid character (byte 4)', '2026-11-30 07:55:09.277799+00');
INSERT INTO notification.notifications VALUES
	('01a22b73-545e-75eb-bdc6-370de1b3fb34', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101', 'PENDING', '2026-11-30 07:55:08.253976+00', 1, 1, NULL, '2026-11-30 07:55:08.116763+00', NULL),
	('01a22b73-545e-75eb-bdc6-370e48939f57', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101', 'STOCK_VERIFIED', '2026-11-30 07:55:08.253976+00', 2, 2, NULL, '2026-11-30 07:55:08.187798+00', NULL),
	('01a22b73-54fd-7769-b5e5-a2487e41ac3e', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101', 'IN_KITCHEN', '2026-11-30 07:55:08.413058+00', 3, 3, NULL, '2026-11-30 07:55:08.354238+00', NULL),
	('01a22b73-5543-72f7-96fa-c13f48249d9f', '01a22b73-5443-71ec-8bcb-c8d2adf7273c', '210041102', 'PENDING', '2026-11-30 07:55:08.483912+00', 1, 4, NULL, '2026-11-30 07:55:08.227702+00', NULL),
	('01a22b73-5543-72f7-96fa-c140568e21b3', '01a22b73-5443-71ec-8bcb-c8d2adf7273c', '210041102', 'STOCK_VERIFIED', '2026-11-30 07:55:08.483912+00', 2, 5, NULL, '2026-11-30 07:55:08.384302+00', NULL),
	('01a22b73-5589-72c9-9719-3ff6c2b6a8c1', '01a22b73-5543-701a-b859-12a440483c18', '210041101', 'PENDING', '2026-11-30 07:55:08.55345+00', 1, 6, NULL, '2026-11-30 07:55:08.483755+00', NULL),
	('01a22b73-5589-72c9-9719-3ff7db9c18c9', '01a22b73-5543-701a-b859-12a440483c18', '210041101', 'STOCK_VERIFIED', '2026-11-30 07:55:08.55345+00', 2, 7, NULL, '2026-11-30 07:55:08.531728+00', NULL),
	('01a22b73-55b9-72a8-a1d7-f16c19011cc4', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101', 'READY', '2026-11-30 07:55:08.601228+00', 4, 8, NULL, '2026-11-30 07:55:08.565659+00', NULL),
	('01a22b73-55b9-72a8-a1d7-f16de2f1daa8', '01a22b73-5443-71ec-8bcb-c8d2adf7273c', '210041102', 'IN_KITCHEN', '2026-11-30 07:55:08.601228+00', 3, 9, NULL, '2026-11-30 07:55:08.565659+00', NULL),
	('01a22b73-55d7-7149-8b6f-b7921f6c9a87', '01a22b73-5599-7443-b5fa-4d4436a46e3f', '210041102', 'PENDING', '2026-11-30 07:55:08.631245+00', 1, 10, NULL, '2026-11-30 07:55:08.569525+00', NULL),
	('01a22b73-55d7-7149-8b6f-b793cb423a85', '01a22b73-5599-7443-b5fa-4d4436a46e3f', '210041102', 'STOCK_VERIFIED', '2026-11-30 07:55:08.631245+00', 2, 11, NULL, '2026-11-30 07:55:08.605078+00', NULL),
	('01a22b73-55ed-710e-90cb-784ee350b1d1', '01a22b73-559c-7074-b784-3d8f3582b7db', '210041101', 'PENDING', '2026-11-30 07:55:08.653596+00', 1, 12, NULL, '2026-11-30 07:55:08.572126+00', NULL),
	('01a22b73-55ed-710e-90cb-784fe5147989', '01a22b73-559c-7074-b784-3d8f3582b7db', '210041101', 'REJECTED', '2026-11-30 07:55:08.653596+00', 2, 13, NULL, '2026-11-30 07:55:08.620976+00', 'OUT_OF_STOCK'),
	('01a22b73-566d-76bf-a52d-82446c36baf4', '01a22b73-5443-71ec-8bcb-c8d2adf7273c', '210041102', 'READY', '2026-11-30 07:55:08.781448+00', 4, 14, NULL, '2026-11-30 07:55:08.768763+00', NULL),
	('01a22b73-566d-76bf-a52d-82457c1afe0e', '01a22b73-5543-701a-b859-12a440483c18', '210041101', 'IN_KITCHEN', '2026-11-30 07:55:08.781448+00', 3, 15, NULL, '2026-11-30 07:55:08.768763+00', NULL),
	('01a22b73-5737-74c8-aad8-54dd8fa03bc2', '01a22b73-5543-701a-b859-12a440483c18', '210041101', 'READY', '2026-11-30 07:55:08.983009+00', 4, 16, NULL, '2026-11-30 07:55:08.972276+00', NULL),
	('01a22b73-5737-74c8-aad8-54de7bbfaf5f', '01a22b73-5599-7443-b5fa-4d4436a46e3f', '210041102', 'IN_KITCHEN', '2026-11-30 07:55:08.983009+00', 3, 17, NULL, '2026-11-30 07:55:08.972276+00', NULL),
	('01a22b73-5802-7068-8bf0-4bfc7ad203ee', '01a22b73-5599-7443-b5fa-4d4436a46e3f', '210041102', 'READY', '2026-11-30 07:55:09.186479+00', 4, 18, NULL, '2026-11-30 07:55:09.175848+00', NULL),
	('01a22b73-5829-720e-b70d-6b43bd077550', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '210041101', 'COLLECTED', '2026-11-30 07:55:09.225717+00', 5, 19, NULL, '2026-11-30 07:55:09.208788+00', NULL),
	('01a22b73-62f4-74d8-af2e-3a422f84cc84', '01a22b73-62c7-7214-9bcb-6366651cb69d', '210041102', 'PENDING', '2026-11-30 07:55:11.988137+00', 1, 20, NULL, '2026-11-30 07:55:11.943388+00', NULL);
INSERT INTO notification.notifications VALUES
	('01a22b73-62f4-74d8-af2e-3a439575bccf', '01a22b73-62c7-7214-9bcb-6366651cb69d', '210041102', 'STOCK_VERIFIED', '2026-11-30 07:55:11.988137+00', 2, 21, NULL, '2026-11-30 07:55:11.971057+00', NULL),
	('01a22b73-6327-717e-a8f9-4886310ac79f', '01a22b73-62c7-7214-9bcb-6366651cb69d', '210041102', 'IN_KITCHEN', '2026-11-30 07:55:12.039903+00', 3, 22, NULL, '2026-11-30 07:55:12.018129+00', NULL),
	('01a22b73-6353-7105-bd12-f73d653dfe1e', '01a22b73-6336-7740-9d44-44e6f03c0892', '210041101', 'PENDING', '2026-11-30 07:55:12.083026+00', 1, 23, NULL, '2026-11-30 07:55:12.054746+00', NULL),
	('01a22b73-6353-7105-bd12-f73e4c30acfd', '01a22b73-6336-7740-9d44-44e6f03c0892', '210041101', 'STOCK_VERIFIED', '2026-11-30 07:55:12.083026+00', 2, 24, NULL, '2026-11-30 07:55:12.07314+00', NULL),
	('01a22b73-6394-748c-b45a-93c6fc2327f5', '01a22b73-6372-7564-aaf1-260094fe3d2e', '210041102', 'PENDING', '2026-11-30 07:55:12.148153+00', 1, 25, NULL, '2026-11-30 07:55:12.114833+00', NULL),
	('01a22b73-6394-748c-b45a-93c7da13fc2a', '01a22b73-6372-7564-aaf1-260094fe3d2e', '210041102', 'STOCK_VERIFIED', '2026-11-30 07:55:12.148153+00', 2, 26, NULL, '2026-11-30 07:55:12.129597+00', NULL),
	('01a22b73-63c1-73e6-864f-8eacc622cd10', '01a22b73-63a3-722a-8586-c1d55bbdc1c8', '210041101', 'PENDING', '2026-11-30 07:55:12.19321+00', 1, 27, NULL, '2026-11-30 07:55:12.1639+00', NULL),
	('01a22b73-63c1-73e6-864f-8ead253f62e8', '01a22b73-63a3-722a-8586-c1d55bbdc1c8', '210041101', 'STOCK_VERIFIED', '2026-11-30 07:55:12.19321+00', 2, 28, NULL, '2026-11-30 07:55:12.180555+00', NULL),
	('01a22b73-63f5-77f6-b7f7-522fb7b213e3', '01a22b73-6372-7564-aaf1-260094fe3d2e', '210041102', 'CANCELLED', '2026-11-30 07:55:12.245657+00', 3, 29, NULL, '2026-11-30 07:55:12.22474+00', NULL);
INSERT INTO notification.open_orders VALUES
	('01a22b73-62c7-7214-9bcb-6366651cb69d', '210041102'),
	('01a22b73-6336-7740-9d44-44e6f03c0892', '210041101'),
	('01a22b73-63a3-722a-8586-c1d55bbdc1c8', '210041101');
INSERT INTO notification.position_counter VALUES
	(1, 29, '2026-11-30T07:54:55.118762971Z', 22);
INSERT INTO stock.alembic_version VALUES
	('0001');
INSERT INTO stock.inventory VALUES
	('01a22b73-24d0-75e2-9e8e-0aeac4450924', '01a22b73-24cf-7358-abef-eead80d71e2e', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d0-75e2-9e8e-0aeb02fef484', '01a22b73-24cf-7358-abef-eeae3f8e5ea8', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-260e791fee41', '01a22b73-24cf-7358-abef-eeaf594d25df', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-260f2ccf3e23', '01a22b73-24cf-7358-abef-eeb0914edf33', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-261040fe3ca5', '01a22b73-24cf-7358-abef-eeb11d5ab86b', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-26117571815c', '01a22b73-24cf-7358-abef-eeb29620546c', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-26126f977707', '01a22b73-24cf-7358-abef-eeb321d59c9a', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-26139038df86', '01a22b73-24cf-7358-abef-eeb47576203f', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-2614663aaa5d', '01a22b73-24cf-7358-abef-eeb5d3af8bea', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-2615615b0f81', '01a22b73-24cf-7358-abef-eeb6bc5725d7', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-261633705083', '01a22b73-24cf-7358-abef-eeb7ebfd0142', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-2617c201a607', '01a22b73-24cf-7358-abef-eeb81b8e2644', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-26189b6ecd71', '01a22b73-24cf-7358-abef-eeb95a26136e', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-26190927f60a', '01a22b73-24cf-7358-abef-eeba5f93b156', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-261a6b311382', '01a22b73-24cf-7358-abef-eebbfc761182', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-261b7100a698', '01a22b73-24cf-7358-abef-eebc808b73f9', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-261cd4ac86ca', '01a22b73-24cf-7358-abef-eebd01ffe2c8', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-261d010725bc', '01a22b73-24cf-7358-abef-eebe9c0e7117', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d1-7399-8a41-261eced3ac6e', '01a22b73-24cf-7358-abef-eebf4b1b30c2', 1000, 1, '2026-11-30 07:54:56.079143+00'),
	('01a22b73-536d-73ca-b150-e93ab54f7cfa', '01a22b73-5366-73d6-9d23-e2dd419a4216', 0, 2, '2026-11-30 07:55:08.591027+00');
INSERT INTO stock.inventory VALUES
	('01a22b73-24d0-75e2-9e8e-0ae9a9607925', '01a22b73-24cf-7358-abef-eeacf08fc39c', 989, 13, '2026-11-30 07:55:13.928711+00');
INSERT INTO stock.items VALUES
	('01a22b73-24cf-7358-abef-eeacf08fc39c', 'Chicken Biryani', 140.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eead80d71e2e', 'Beef Tehari', 150.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeae3f8e5ea8', 'Mutton Kacchi', 220.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeaf594d25df', 'Chicken Haleem', 90.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb0914edf33', 'Beef Haleem', 110.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb11d5ab86b', 'Khichuri with Egg', 80.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb29620546c', 'Morog Polao', 160.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb321d59c9a', 'Chola Bhuna', 25.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb47576203f', 'Piyaju, four pieces', 20.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb5d3af8bea', 'Beguni, two pieces', 20.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb6bc5725d7', 'Alur Chop, two pieces', 20.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb7ebfd0142', 'Vegetable Samosa, two pieces', 30.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb81b8e2644', 'Chicken Shami Kebab', 45.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeb95a26136e', 'Muri Makha', 30.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eeba5f93b156', 'Medjool Dates, five pieces', 60.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eebbfc761182', 'Fruit Chaat', 50.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eebc808b73f9', 'Jilapi, 100 g', 25.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eebd01ffe2c8', 'Firni', 40.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eebe9c0e7117', 'Lemon Sharbat', 20.00, '2026-11-30 07:54:56.079143+00', true),
	('01a22b73-24cf-7358-abef-eebf4b1b30c2', 'Rooh Afza Milk', 35.00, '2026-11-30 07:54:56.079143+00', true);
INSERT INTO stock.items VALUES
	('01a22b73-5366-73d6-9d23-e2dd419a4216', 'Last Portion', 12.50, '2026-11-30 07:55:08.007168+00', true);
INSERT INTO stock.reservations VALUES
	('01a22b73-53d4-72a4-8c17-4a0793d4cd5e', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:08.17381+00', NULL),
	('01a22b73-5443-71ec-8bcb-c8d2adf7273c', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 2, "unit_price": "140.00"}]', '2026-11-30 07:55:08.365654+00', NULL),
	('01a22b73-5543-701a-b859-12a440483c18', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:08.526498+00', NULL),
	('01a22b73-5599-7443-b5fa-4d4436a46e3f', 'RESERVED', NULL, '[{"name": "Last Portion", "item_id": "01a22b73-5366-73d6-9d23-e2dd419a4216", "quantity": 1, "unit_price": "12.50"}]', '2026-11-30 07:55:08.591027+00', NULL),
	('01a22b73-559c-7074-b784-3d8f3582b7db', 'REJECTED', 'OUT_OF_STOCK', '[{"name": "Last Portion", "item_id": "01a22b73-5366-73d6-9d23-e2dd419a4216", "refused": true, "quantity": 1, "unit_price": "12.50"}]', '2026-11-30 07:55:08.602314+00', NULL),
	('01a22b73-62c7-7214-9bcb-6366651cb69d', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:11.965835+00', NULL),
	('01a22b73-6336-7740-9d44-44e6f03c0892', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:12.067072+00', NULL),
	('01a22b73-6372-7564-aaf1-260094fe3d2e', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:12.123934+00', '2026-11-30 07:55:12.264572+00'),
	('01a22b73-63a3-722a-8586-c1d55bbdc1c8', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:12.172898+00', '2026-11-30 07:55:12.433023+00'),
	('01a22b73-64fc-7280-9a48-f7c15ca1cb64', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 3, "unit_price": "140.00"}]', '2026-11-30 07:55:12.521598+00', NULL),
	('01a22b73-6538-70ba-8d20-dc77cdd8981c', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:12.577469+00', NULL),
	('01a22b73-6566-7207-9d67-7c75a33c8d4a', 'RESERVED', NULL, '[{"name": "Chicken Biryani", "item_id": "01a22b73-24cf-7358-abef-eeacf08fc39c", "quantity": 1, "unit_price": "140.00"}]', '2026-11-30 07:55:13.928711+00', NULL);
INSERT INTO stock.restocks VALUES
	('01a22b73-24d4-76c5-9d29-1b0c4c5a8dfe', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b0dfc8fdebd', '01a22b73-24cf-7358-abef-eead80d71e2e', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b0eae7e0d11', '01a22b73-24cf-7358-abef-eeae3f8e5ea8', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b0ffcb1c572', '01a22b73-24cf-7358-abef-eeaf594d25df', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b10978d83c1', '01a22b73-24cf-7358-abef-eeb0914edf33', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b11ea957981', '01a22b73-24cf-7358-abef-eeb11d5ab86b', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1230e55906', '01a22b73-24cf-7358-abef-eeb29620546c', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b13b9741db1', '01a22b73-24cf-7358-abef-eeb321d59c9a', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b14c542e4f5', '01a22b73-24cf-7358-abef-eeb47576203f', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1529a1c7b7', '01a22b73-24cf-7358-abef-eeb5d3af8bea', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1619d70790', '01a22b73-24cf-7358-abef-eeb6bc5725d7', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b17882e3ec9', '01a22b73-24cf-7358-abef-eeb7ebfd0142', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b18a9743c6d', '01a22b73-24cf-7358-abef-eeb81b8e2644', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1933ac74e6', '01a22b73-24cf-7358-abef-eeb95a26136e', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1a4b27b08a', '01a22b73-24cf-7358-abef-eeba5f93b156', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1ba6d5e73a', '01a22b73-24cf-7358-abef-eebbfc761182', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1cea0d6524', '01a22b73-24cf-7358-abef-eebc808b73f9', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1dc9b2207b', '01a22b73-24cf-7358-abef-eebd01ffe2c8', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1e7330e71b', '01a22b73-24cf-7358-abef-eebe9c0e7117', 1000, 'demo data', '2026-11-30 07:54:56.079143+00'),
	('01a22b73-24d4-76c5-9d29-1b1f80aa37be', '01a22b73-24cf-7358-abef-eebf4b1b30c2', 1000, 'demo data', '2026-11-30 07:54:56.079143+00');
INSERT INTO stock.restocks VALUES
	('01a22b73-5372-7605-9d9e-b58f3ed61f0b', '01a22b73-5366-73d6-9d23-e2dd419a4216', 1, 'operator-1', '2026-11-30 07:55:08.007168+00');
INSERT INTO stock.stock_transactions VALUES
	('01a22b73-540e-739d-a552-bebd75a0fbff', '01a22b73-53d4-72a4-8c17-4a0793d4cd5e', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:08.17381+00', 'DEDUCT'),
	('01a22b73-54cd-75f6-8c28-e403136ff19d', '01a22b73-5443-71ec-8bcb-c8d2adf7273c', '01a22b73-24cf-7358-abef-eeacf08fc39c', 2, '2026-11-30 07:55:08.365654+00', 'DEDUCT'),
	('01a22b73-556e-7328-957c-bdef484f0545', '01a22b73-5543-701a-b859-12a440483c18', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:08.526498+00', 'DEDUCT'),
	('01a22b73-55af-7298-bd98-cd0db732e95e', '01a22b73-5599-7443-b5fa-4d4436a46e3f', '01a22b73-5366-73d6-9d23-e2dd419a4216', 1, '2026-11-30 07:55:08.591027+00', 'DEDUCT'),
	('01a22b73-62de-7579-bed3-17907b7c1b30', '01a22b73-62c7-7214-9bcb-6366651cb69d', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:11.965835+00', 'DEDUCT'),
	('01a22b73-6343-769b-a4ba-7e93d8094c27', '01a22b73-6336-7740-9d44-44e6f03c0892', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:12.067072+00', 'DEDUCT'),
	('01a22b73-637c-7327-a10f-d2e58b4514da', '01a22b73-6372-7564-aaf1-260094fe3d2e', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:12.123934+00', 'DEDUCT'),
	('01a22b73-63ad-774a-bab6-2486187df51b', '01a22b73-63a3-722a-8586-c1d55bbdc1c8', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:12.172898+00', 'DEDUCT'),
	('01a22b73-6408-74c8-ab84-670deb7026e1', '01a22b73-6372-7564-aaf1-260094fe3d2e', '01a22b73-24cf-7358-abef-eeacf08fc39c', -1, '2026-11-30 07:55:12.264572+00', 'RELEASE'),
	('01a22b73-64b1-71c7-b447-f220c0c95c34', '01a22b73-63a3-722a-8586-c1d55bbdc1c8', '01a22b73-24cf-7358-abef-eeacf08fc39c', -1, '2026-11-30 07:55:12.433023+00', 'RELEASE'),
	('01a22b73-6509-72a4-b950-3a2f993c432b', '01a22b73-64fc-7280-9a48-f7c15ca1cb64', '01a22b73-24cf-7358-abef-eeacf08fc39c', 3, '2026-11-30 07:55:12.521598+00', 'DEDUCT'),
	('01a22b73-6541-74c2-96e1-351021321a9e', '01a22b73-6538-70ba-8d20-dc77cdd8981c', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:12.577469+00', 'DEDUCT'),
	('01a22b73-6a88-75d1-aeaf-1dec8deb47e8', '01a22b73-6566-7207-9d67-7c75a33c8d4a', '01a22b73-24cf-7358-abef-eeacf08fc39c', 1, '2026-11-30 07:55:13.928711+00', 'DEDUCT');
SELECT pg_catalog.setval('gateway.outbox_id_seq', 22, true);
SELECT pg_catalog.setval('kitchen.outbox_id_seq', 13, true);
SELECT pg_catalog.setval('notification.position_counter_id_seq', 1, false);
ALTER TABLE ONLY gateway.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY gateway.dead_letters
    ADD CONSTRAINT pk_dead_letters PRIMARY KEY (id);
ALTER TABLE ONLY gateway.idempotency_keys
    ADD CONSTRAINT pk_idempotency_keys PRIMARY KEY (id);
ALTER TABLE ONLY gateway.orders
    ADD CONSTRAINT pk_orders PRIMARY KEY (id);
ALTER TABLE ONLY gateway.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);
ALTER TABLE ONLY gateway.dead_letters
    ADD CONSTRAINT uq_dead_letters_stream_sequence_stored_at UNIQUE (stream, sequence, stored_at);
ALTER TABLE ONLY gateway.idempotency_keys
    ADD CONSTRAINT uq_idempotency_keys_key UNIQUE (key);
ALTER TABLE ONLY gateway.idempotency_keys
    ADD CONSTRAINT uq_idempotency_keys_order_id UNIQUE (order_id);
ALTER TABLE ONLY identity.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY identity.login_attempts
    ADD CONSTRAINT pk_login_attempts PRIMARY KEY (id);
ALTER TABLE ONLY identity.login_windows
    ADD CONSTRAINT pk_login_windows PRIMARY KEY (student_id);
ALTER TABLE ONLY identity.refresh_tokens
    ADD CONSTRAINT pk_refresh_tokens PRIMARY KEY (id);
ALTER TABLE ONLY identity.users
    ADD CONSTRAINT pk_users PRIMARY KEY (id);
ALTER TABLE ONLY identity.refresh_tokens
    ADD CONSTRAINT uq_refresh_tokens_token_hash UNIQUE (token_hash);
ALTER TABLE ONLY identity.users
    ADD CONSTRAINT uq_users_student_id UNIQUE (student_id);
ALTER TABLE ONLY kitchen.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY kitchen.dead_letters
    ADD CONSTRAINT pk_dead_letters PRIMARY KEY (id);
ALTER TABLE ONLY kitchen.kitchen_orders
    ADD CONSTRAINT pk_kitchen_orders PRIMARY KEY (id);
ALTER TABLE ONLY kitchen.order_status_history
    ADD CONSTRAINT pk_order_status_history PRIMARY KEY (id);
ALTER TABLE ONLY kitchen.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);
ALTER TABLE ONLY kitchen.dead_letters
    ADD CONSTRAINT uq_dead_letters_stream_sequence_stored_at UNIQUE (stream, sequence, stored_at);
ALTER TABLE ONLY kitchen.kitchen_orders
    ADD CONSTRAINT uq_kitchen_orders_order_id UNIQUE (order_id);
ALTER TABLE ONLY kitchen.order_status_history
    ADD CONSTRAINT uq_order_status_history_kitchen_order_id_status UNIQUE (kitchen_order_id, status);
ALTER TABLE ONLY notification.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY notification.dead_letters
    ADD CONSTRAINT pk_dead_letters PRIMARY KEY (id);
ALTER TABLE ONLY notification.notifications
    ADD CONSTRAINT pk_notifications PRIMARY KEY (id);
ALTER TABLE ONLY notification.open_orders
    ADD CONSTRAINT pk_open_orders PRIMARY KEY (order_id);
ALTER TABLE ONLY notification.position_counter
    ADD CONSTRAINT pk_position_counter PRIMARY KEY (id);
ALTER TABLE ONLY notification.dead_letters
    ADD CONSTRAINT uq_dead_letters_stream_sequence_stored_at UNIQUE (stream, sequence, stored_at);
ALTER TABLE ONLY notification.notifications
    ADD CONSTRAINT uq_notifications_order_id_version UNIQUE (order_id, version);
ALTER TABLE ONLY notification.notifications
    ADD CONSTRAINT uq_notifications_position UNIQUE ("position");
ALTER TABLE ONLY stock.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY stock.inventory
    ADD CONSTRAINT pk_inventory PRIMARY KEY (id);
ALTER TABLE ONLY stock.items
    ADD CONSTRAINT pk_items PRIMARY KEY (id);
ALTER TABLE ONLY stock.reservations
    ADD CONSTRAINT pk_reservations PRIMARY KEY (order_id);
ALTER TABLE ONLY stock.restocks
    ADD CONSTRAINT pk_restocks PRIMARY KEY (id);
ALTER TABLE ONLY stock.stock_transactions
    ADD CONSTRAINT pk_stock_transactions PRIMARY KEY (id);
ALTER TABLE ONLY stock.inventory
    ADD CONSTRAINT uq_inventory_item_id UNIQUE (item_id);
ALTER TABLE ONLY stock.stock_transactions
    ADD CONSTRAINT uq_stock_transactions_order_id_item_id_kind UNIQUE (order_id, item_id, kind);
CREATE INDEX ix_orders_next_ask_at ON gateway.orders USING btree (next_ask_at) WHERE (next_ask_at IS NOT NULL);
CREATE INDEX ix_orders_next_check_at ON gateway.orders USING btree (next_check_at) WHERE (next_check_at IS NOT NULL);
CREATE INDEX ix_orders_student_id_id ON gateway.orders USING btree (student_id, id);
CREATE INDEX ix_outbox_order_id ON gateway.outbox USING btree (order_id);
CREATE INDEX ix_login_attempts_student_id_attempted_at ON identity.login_attempts USING btree (student_id, attempted_at);
CREATE INDEX ix_login_attempts_user_id_attempted_at ON identity.login_attempts USING btree (user_id, attempted_at);
CREATE INDEX ix_login_windows_last_attempt_at ON identity.login_windows USING btree (last_attempt_at);
CREATE INDEX ix_refresh_tokens_expires_at ON identity.refresh_tokens USING btree (expires_at);
CREATE UNIQUE INDEX uq_refresh_tokens_family_live ON identity.refresh_tokens USING btree (family) WHERE (used_at IS NULL);
CREATE INDEX ix_kitchen_orders_status_id ON kitchen.kitchen_orders USING btree (status, id);
CREATE INDEX ix_kitchen_orders_unconfirmed ON kitchen.kitchen_orders USING btree (confirm_at) WHERE (confirm_at IS NOT NULL);
CREATE INDEX ix_outbox_order_id ON kitchen.outbox USING btree (order_id);
CREATE UNIQUE INDEX uq_kitchen_orders_station ON kitchen.kitchen_orders USING btree (station) WHERE (station IS NOT NULL);
CREATE INDEX ix_notifications_student_id_position ON notification.notifications USING btree (student_id, "position");
CREATE INDEX ix_open_orders_student_id ON notification.open_orders USING btree (student_id);
CREATE INDEX ix_restocks_item_id ON stock.restocks USING btree (item_id);
CREATE INDEX ix_stock_transactions_item_id_id ON stock.stock_transactions USING btree (item_id, id);
ALTER TABLE ONLY gateway.idempotency_keys
    ADD CONSTRAINT fk_idempotency_keys_order_id FOREIGN KEY (order_id) REFERENCES gateway.orders(id);
ALTER TABLE ONLY identity.login_attempts
    ADD CONSTRAINT fk_login_attempts_user_id FOREIGN KEY (user_id) REFERENCES identity.users(id);
ALTER TABLE ONLY identity.refresh_tokens
    ADD CONSTRAINT fk_refresh_tokens_user_id FOREIGN KEY (user_id) REFERENCES identity.users(id);
ALTER TABLE ONLY kitchen.order_status_history
    ADD CONSTRAINT fk_order_status_history_kitchen_order_id FOREIGN KEY (kitchen_order_id) REFERENCES kitchen.kitchen_orders(id);
ALTER TABLE ONLY stock.inventory
    ADD CONSTRAINT fk_inventory_item_id FOREIGN KEY (item_id) REFERENCES stock.items(id);
ALTER TABLE ONLY stock.restocks
    ADD CONSTRAINT fk_restocks_item_id FOREIGN KEY (item_id) REFERENCES stock.items(id);
ALTER TABLE ONLY stock.stock_transactions
    ADD CONSTRAINT fk_stock_transactions_item_id FOREIGN KEY (item_id) REFERENCES stock.items(id);
REVOKE CONNECT,TEMPORARY ON DATABASE cafeteria FROM PUBLIC;
GRANT CONNECT ON DATABASE cafeteria TO identity;
GRANT CONNECT ON DATABASE cafeteria TO gateway;
GRANT CONNECT ON DATABASE cafeteria TO stock;
GRANT CONNECT ON DATABASE cafeteria TO kitchen;
GRANT CONNECT ON DATABASE cafeteria TO notification;
GRANT USAGE ON SCHEMA gateway TO gateway;
GRANT USAGE ON SCHEMA identity TO identity;
GRANT USAGE ON SCHEMA kitchen TO kitchen;
GRANT USAGE ON SCHEMA notification TO notification;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA stock TO stock;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.dead_letters TO gateway;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.idempotency_keys TO gateway;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.orders TO gateway;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.outbox TO gateway;
GRANT USAGE ON SEQUENCE gateway.outbox_id_seq TO gateway;
GRANT SELECT,INSERT ON TABLE identity.login_attempts TO identity;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.login_windows TO identity;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.refresh_tokens TO identity;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.users TO identity;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE kitchen.dead_letters TO kitchen;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE kitchen.kitchen_orders TO kitchen;
GRANT SELECT,INSERT ON TABLE kitchen.order_status_history TO kitchen;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE kitchen.outbox TO kitchen;
GRANT USAGE ON SEQUENCE kitchen.outbox_id_seq TO kitchen;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE notification.dead_letters TO notification;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE notification.notifications TO notification;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE notification.open_orders TO notification;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE notification.position_counter TO notification;
GRANT USAGE ON SEQUENCE notification.position_counter_id_seq TO notification;
GRANT SELECT,INSERT,UPDATE ON TABLE stock.inventory TO stock;
GRANT SELECT,INSERT,UPDATE ON TABLE stock.items TO stock;
GRANT SELECT,INSERT ON TABLE stock.reservations TO stock;
GRANT UPDATE(released_at) ON TABLE stock.reservations TO stock;
GRANT SELECT,INSERT ON TABLE stock.restocks TO stock;
GRANT SELECT,INSERT ON TABLE stock.stock_transactions TO stock;
